"""Asks Humbaba, Cerbos, Rego (with the interpreter regopy) and the Python function the same
questions, every combination of them, and fails where one of them answers otherwise.

    pip install regopy && npm install @cerbos/cerbos-linux-x64
    python compare.py target/release/humbaba node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64
"""

import itertools, json, pathlib, subprocess, sys, tempfile, time, urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent / "if-role"))
import regopy
from reports import may

HERE = pathlib.Path(__file__).parent


def questions():
    roles = ["owner", "editor", "viewer", None]
    tenants, archived = ["acme", "other"], [True, False, None]
    yield from itertools.product(roles, ["view", "edit", "delete"], tenants, archived)


def ask_humbaba(binary, role, action, tenant, archived):
    report = {"tenant": {"type": "Tenant", "id": tenant}}
    if archived is not None:
        report["archived"] = archived
    user = {"tenant": {"type": "Tenant", "id": "acme"}}
    entities = [
        {"uid": {"type": "User", "id": "alice"}, "attrs": user, "parents": []},
        {"uid": {"type": "Report", "id": "1"}, "attrs": report, "parents": []},
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(entities, file)
        file.flush()
        command = [binary, "check", "--policies", HERE / "humbaba", "--principal", 'User::"alice"']
        command += ["--action", action, "--resource", 'Report::"1"', "--entities", file.name]
        command += ["--role", role] if role else []
        code = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    assert code in (0, 2), code
    return code == 0


def ask_cerbos(role, action, tenant, archived):
    attr = {"tenant": tenant, "owners": [], "editors": [], "viewers": []}
    if role:
        attr[role + "s"] = ["alice"]
    if archived is not None:
        attr["archived"] = archived
    question = {
        "principal": {"id": "alice", "roles": ["user"], "attr": {"tenant": "acme"}},
        "resources": [{"resource": {"kind": "report", "id": "1", "attr": attr}, "actions": [action]}],
    }
    request = urllib.request.Request(
        "http://127.0.0.1:3592/api/check/resources", json.dumps(question).encode(),
        {"content-type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))
    return answer["results"][0]["actions"][action] == "EFFECT_ALLOW"


def ask_rego(rego, role, action, tenant, archived):
    report = {"tenant": tenant} | ({} if archived is None else {"archived": archived})
    rego.set_input({"user": {"id": "alice", "tenant": "acme"}, "action": action,
                    "roles": [role] if role else [], "report": report})
    return json.loads(str(rego.query("x := data.report.allow")))["bindings"]["x"]


def ask_python(role, action, tenant, archived):
    report = {"tenant": tenant, "archived": archived, "members": {"alice": role}}
    return may({"id": "alice", "tenant": "acme"}, action, report)


def main(humbaba, cerbos):
    rego = regopy.Interpreter()
    rego.add_module("report", (HERE / "opa/report.rego").read_text())
    server = subprocess.Popen([cerbos, "server", "--set=storage.driver=disk",
                               f"--set=storage.disk.directory={HERE / 'cerbos'}"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen("http://127.0.0.1:3592/_cerbos/health")
                break
            except OSError:
                time.sleep(0.1)
        allowed = 0
        for question in questions():
            answers = [ask_humbaba(humbaba, *question), ask_cerbos(*question),
                       ask_rego(rego, *question), ask_python(*question)]
            assert len(set(answers)) == 1, (question, answers)
            allowed += answers[0]
        print(f"{len(list(questions()))} questions, {allowed} allowed: all four agree")
    finally:
        server.terminate()


main(*sys.argv[1:])
