"""Maps what Amazon Verified Permissions says to what Humbaba reads.

    python avp.py export EXPORT STORE           # a store of saved get-schema, get-policy, … answers
    python avp.py ask BINARY STORE REQUEST…     # asks is-authorized requests of Humbaba
"""

import json, pathlib, subprocess, sys, tempfile


def uid(identifier):
    return {"type": identifier["entityType"], "id": identifier["entityId"]}


def text(identifier):
    return f'{identifier["entityType"]}::{json.dumps(identifier["entityId"], ensure_ascii=False)}'


def value(sent):
    """A value as their API writes it, in Cedar's JSON."""
    [(kind, inner)] = sent.items()
    match kind:
        case "set":
            return [value(each) for each in inner]
        case "record":
            return attributes(inner)
        case "entityIdentifier":
            return {"__entity": uid(inner)}
        case "ipaddr":
            return {"__extn": {"fn": "ip", "arg": inner}}
        case "decimal" | "datetime" | "duration":
            return {"__extn": {"fn": kind, "arg": inner}}
        case "boolean" | "long" | "string":
            return inner
    raise ValueError(f"no value is called {kind}")


def attributes(sent):
    return {name: value(each) for name, each in sent.items()}


def context(request):
    sent = request.get("context", {})
    return json.loads(sent["cedarJson"]) if "cedarJson" in sent else attributes(sent.get("contextMap", {}))


def entities(request):
    sent = request.get("entities", {})
    if "cedarJson" in sent:
        return json.loads(sent["cedarJson"])
    return [
        {
            "uid": uid(each["identifier"]),
            "attrs": attributes(each.get("attributes", {})),
            "parents": [uid(parent) for parent in each.get("parents", [])],
            "tags": attributes(each.get("tags", {})),
        }
        for each in sent.get("entityList", [])
    ]


def export(folder, store):
    """Writes a store of the answers in a folder: get-schema, get-policy and get-policy-template."""
    store.mkdir(parents=True)
    links = []
    for path in sorted(folder.glob("*.json")):
        answer = json.loads(path.read_text())
        definition = answer.get("definition", {})
        if "schema" in answer:
            (store / "app.cedarschema.json").write_text(answer["schema"])
        elif linked := definition.get("templateLinked"):
            places = {f"?{place}": text(linked[place]) for place in ("principal", "resource") if place in linked}
            links.append({"template_id": linked["policyTemplateId"], "link_id": answer["policyId"], "args": places})
        else:
            id = answer.get("policyId") or answer["policyTemplateId"]
            statement = answer.get("statement") or definition["static"]["statement"]
            (store / f"{id}.cedar").write_text(f"@id({json.dumps(id)})\n{statement}\n")
    (store / "app.links.json").write_text(json.dumps(links, indent=2))


def ask(binary, store, request):
    """Asks one is-authorized request, and answers in their form."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "context.json").write_text(json.dumps(context(request)))
        (folder / "entities.json").write_text(json.dumps(entities(request)))
        action = {"entityType": request["action"]["actionType"], "entityId": request["action"]["actionId"]}
        command = [binary, "check", "--policies", store, "--format", "json"]
        command += ["--principal", text(request["principal"]), "--action", text(action)]
        command += ["--resource", text(request["resource"])]
        command += ["--context-file", folder / "context.json", "--entities", folder / "entities.json"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 2):
        raise SystemExit(done.stdout + done.stderr)
    answer = json.loads(done.stdout)
    return {
        "decision": answer["decision"].upper(),
        "determiningPolicies": [{"policyId": each["policy_id"]} for each in answer["determining_policies"]],
        "errors": [{"errorDescription": each["message"]} for each in answer["errors"]],
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["export", folder, store]:
            export(pathlib.Path(folder), pathlib.Path(store))
        case ["ask", binary, store, *requests]:
            for path in map(pathlib.Path, requests):
                print(path.stem, json.dumps(ask(binary, store, json.loads(path.read_text()))))
        case _:
            raise SystemExit(__doc__)
