"""Fills cedar-agent and a store of Humbaba with the same, asks both every combination, and fails
where the answers or the policies behind them differ.

    cargo install cedar-agent
    python compare.py target/release/humbaba ~/.cargo/bin/cedar-agent
"""

import itertools, json, pathlib, subprocess, sys, tempfile, time, urllib.error, urllib.request

import agent

HERE = pathlib.Path(__file__).parent
PORT = 8190


def questions():
    yield from itertools.product(["ann", "bob", "eve"], ["view", "edit", "delete"], ["q2", "q3"], [True, False, None])


def ask_agent(question, context):
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/is_authorized",
        json.dumps(question | {"context": context}).encode(),
        {"content-type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))
    return answer["decision"], sorted(answer["diagnostics"]["reason"])


def ask_humbaba(binary, stores, question, context):
    command = [binary, "check", "--policies", stores, "--format", "json"]
    for flag in ("principal", "action", "resource"):
        command += [f"--{flag}", question[flag]]
    command += ["--context", f"mfa={json.dumps(context['mfa'])}"] if context else []
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stderr
    answer = json.loads(done.stdout)
    return answer["decision"].capitalize(), sorted(each["policy_id"] for each in answer["determining_policies"])


def main(binary, their_binary):
    files = [HERE / f"{name}.json" for name in ("schema", "data", "policies")]
    flags = [flag for pair in zip(("--schema", "--data", "--policies"), files) for flag in pair]
    server = subprocess.Popen([their_binary, "--port", str(PORT), *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/policies")
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        with tempfile.TemporaryDirectory() as stores:
            agent.convert(*files, pathlib.Path(stores) / "reports")
            count = 0
            for user, action, report, mfa in questions():
                question = {
                    "principal": f'User::"{user}"',
                    "action": f'Action::"{action}"',
                    "resource": f'Report::"{report}"',
                }
                context = {} if mfa is None else {"mfa": mfa}
                theirs = ask_agent(question, context)
                ours = ask_humbaba(binary, stores, question, context)
                assert ours == theirs, f"{question} {context}: cedar-agent {theirs}, Humbaba {ours}"
                count += 1
    finally:
        server.terminate()
    print(f"{count} questions, the same answers by the same policies")


main(*sys.argv[1:])
