"""Holds the requests of this folder to Amazon's published model of its API, and compares the
answers of Humbaba with those of the Cedar engine in Python. Amazon's service itself is not asked.

    pip install boto3 cedarpy
    python compare.py target/release/humbaba
"""

import json, pathlib, sys, tempfile

import botocore.session, botocore.validate, cedarpy

import avp

HERE = pathlib.Path(__file__).parent
MODEL = botocore.session.get_session().get_service_model("verifiedpermissions")


def hold(shape, sent, what):
    report = botocore.validate.ParamValidator().validate(sent, shape)
    unknown = set(sent) - set(shape.members)
    assert not report.has_errors() and not unknown, f"{what}: {report.generate_report()} {unknown}"


def their_policies():
    """The policies as one text: cedarpy takes no links, so their places are filled here."""
    answers = [json.loads(path.read_text()) for path in sorted((HERE / "export").glob("*.json"))]
    templates = {each["policyTemplateId"]: each["statement"] for each in answers if "policyTemplateId" in each}
    for answer in answers:
        definition = answer.get("definition", {})
        if linked := definition.get("templateLinked"):
            statement = templates[linked["policyTemplateId"]]
            for place in ("principal", "resource"):
                statement = statement.replace(f"?{place}", avp.text(linked[place]))
        elif "static" in definition:
            statement = definition["static"]["statement"]
        else:
            continue
        yield f'@id("{answer["policyId"]}")\n{statement}'


def ask_cedar(policies, request):
    sent = {
        "principal": avp.text(request["principal"]),
        "action": f'{request["action"]["actionType"]}::"{request["action"]["actionId"]}"',
        "resource": avp.text(request["resource"]),
        "context": avp.context(request),
    }
    answer = cedarpy.is_authorized(sent, policies, avp.entities(request))
    # Policies are named by their place in the text, from policy0.
    names = [text.split('"')[1] for text in policies.split("@id")[1:]]
    reasons = [names[int(reason.removeprefix("policy"))] for reason in answer.diagnostics.reasons]
    return answer.decision.value.upper(), sorted(reasons)


def main(binary):
    for name, operation in [("schema", "GetSchema"), ("policy", "GetPolicy"), ("template", "GetPolicyTemplate")]:
        for path in (HERE / "export").glob(f"{name}*.json"):
            hold(MODEL.operation_model(operation).output_shape, json.loads(path.read_text()), path.name)
    policies = "\n".join(their_policies())
    with tempfile.TemporaryDirectory() as folder:
        store = pathlib.Path(folder) / "reports"
        avp.export(HERE / "export", store)
        asked = sorted((HERE / "requests").glob("*.json"))
        for path in asked:
            request = json.loads(path.read_text())
            hold(MODEL.operation_model("IsAuthorized").input_shape, request, path.name)
            answer = avp.ask(binary, store, request)
            hold(MODEL.operation_model("IsAuthorized").output_shape, answer, path.name)
            ours = answer["decision"], sorted(each["policyId"] for each in answer["determiningPolicies"])
            theirs = ask_cedar(policies, request)
            assert ours == theirs, f"{path.name}: Humbaba {ours}, Cedar {theirs}"
            print(f"{path.stem:28} {ours[0]:5} {', '.join(ours[1])}")
    print(f"{len(asked)} requests, the same answers")


main(*sys.argv[1:])
