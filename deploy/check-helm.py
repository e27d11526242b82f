"""Renders the chart with helm's own library where the program `helm` is not installed.

The library (helm-sdkpy) can lint and install, and has no `helm template`. So it installs into a
stand-in for a cluster that accepts every object and keeps it, which is what we want to see.
"""

import asyncio
import glob
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

PACKAGES = ["helm-sdkpy==0.1.32", "PyYAML>=6,<7"]
RESOURCES = {
    "v1": [("services", "Service"), ("secrets", "Secret")],
    "apps/v1": [("deployments", "Deployment")],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget")],
    "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy")],
    "monitoring.coreos.com/v1": [("podmonitors", "PodMonitor")],
}


def find_python(tools):
    """Prints a Python with the library, which wants 3.12 or newer; nothing if there is none."""
    venv = pathlib.Path(tools) / "helm-venv"
    python = venv / "bin" / "python"
    candidates = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    candidates += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[2-9]*/bin/python3")))
    candidates += [sys.executable]
    for candidate in filter(None, candidates):
        version = "import sys; sys.exit(sys.version_info < (3, 12))"
        if subprocess.run([candidate, "-c", version], capture_output=True).returncode == 0:
            if not python.exists():
                subprocess.run([candidate, "-m", "venv", venv], check=True)
            install = [python, "-m", "pip", "install", "--quiet", *PACKAGES]
            if subprocess.run(install, capture_output=True).returncode == 0:
                print(python)
            return


class StandIn(http.server.BaseHTTPRequestHandler):
    """A cluster that has nothing and takes everything."""

    kept = []

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        groups = {version for version in RESOURCES if "/" in version}
        if path == "/version":
            self.answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        elif path == "/api":
            self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            of = lambda version: {"groupVersion": version, "version": version.split("/")[1]}
            self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": version.split("/")[0], "versions": [of(version)],
                 "preferredVersion": of(version)} for version in groups]})
        elif path.removeprefix("/apis/").removeprefix("/api/") in RESOURCES:
            version = path.removeprefix("/apis/").removeprefix("/api/")
            self.answer(200, {"kind": "APIResourceList", "groupVersion": version, "resources": [
                {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind,
                 "verbs": ["create", "get", "list", "patch", "update", "delete"]}
                for plural, kind in RESOURCES[version]]})
        elif path.endswith("/secrets"):
            self.answer(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                              "reason": "NotFound", "code": 404})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # Helm's own record of the release, which it writes in protobuf.
        if self.path.split("?")[0].endswith("/secrets"):
            return self.answer(201, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "r"}})
        found = json.loads(body)
        self.kept.append(found)
        self.answer(201, found)

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "r"}})

    def do_PATCH(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {})

    def log_message(self, *arguments):
        pass


async def check(chart, work, port):
    import helm_sdkpy
    import yaml

    kubeconfig = yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}]})
    cluster = helm_sdkpy.Configuration(namespace="ci", kubeconfig=kubeconfig)
    lint = await helm_sdkpy.Lint(cluster).run(str(chart))
    if lint.get("Errors") or lint.get("errors"):
        sys.exit(f"helm lint: {lint}")

    async def install(values):
        StandIn.kept.clear()
        await helm_sdkpy.Install(cluster).run(
            "ci", str(chart), values=yaml.safe_load(values.read_text()) or {}, wait=False)

    for values in sorted((chart / "ci").glob("*.yaml")):
        await install(values)
        if not any(found["kind"] == "Deployment" for found in StandIn.kept):
            sys.exit(f"{values}: helm made no Deployment")
        out = pathlib.Path(work) / f"helm-{values.name}"
        out.write_text(yaml.safe_dump_all(StandIn.kept))
    for values in sorted((chart / "ci" / "refused").glob("*.yaml")):
        try:
            await install(values)
        except helm_sdkpy.InstallError as error:
            if "schema" not in str(error):
                sys.exit(f"{values} was refused, but not by the schema: {error}")
        else:
            sys.exit(f"the values in {values} should have been refused")


def main():
    if sys.argv[1] == "--find-python":
        return find_python(sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(check(pathlib.Path(sys.argv[1]), sys.argv[2], server.server_port))


main()
