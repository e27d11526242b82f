"""Checks every rendered object, the compose file, the chart's defaults and the dashboard."""

import argparse
import glob
import json
import os
import pathlib
import re
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = ["1.30", "1.33", "1.37"]
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
                      "persistentVolumeClaim", "projected", "secret"}
problems = []


def problem(where, what):
    problems.append(f"{where}: {what}")


def objects(path):
    return [found for found in yaml.safe_load_all(open(path)) if found]


def name(path, found):
    return f"{os.path.basename(path)}: {found['kind']} {found['metadata']['name']}"


def pod_spec(found):
    return found["spec"]["template"]["spec"] if found["kind"] == "Deployment" else None


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def check_schema(where, found):
    """Against the schema of Kubernetes, in the oldest and newest versions that we speak of."""
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            problem(where, f"Kubernetes {version}: {error.message} at {list(error.path)}")


def check_restricted(where, pod):
    """Pod Security Standards, level `restricted`: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for field in ["hostNetwork", "hostPID", "hostIPC"]:
        if pod.get(field):
            problem(where, f"{field} is not allowed")
    for volume in pod.get("volumes", []):
        if not RESTRICTED_VOLUMES.issuperset(set(volume) - {"name"}):
            problem(where, f"volume {volume['name']} is of a kind that is not allowed")
    of_pod = pod.get("securityContext", {})
    for container in containers(pod):
        own = container.get("securityContext", {})
        wanted = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "capabilities.add": not own.get("capabilities", {}).get("add"),
            "privileged": not own.get("privileged"),
            "runAsNonRoot": own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", of_pod.get("runAsUser")) != 0,
            "seccompProfile": own.get("seccompProfile", of_pod.get("seccompProfile", {}))
            .get("type") in ["RuntimeDefault", "Localhost"],
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        for field, is_met in wanted.items():
            if not is_met:
                problem(where, f"container {container['name']}: {field} is not as `restricted` wants it")


def check_humbaba(where, pod, humbaba):
    """What we promise of our own container beyond the schema."""
    ours = [container for container in containers(pod) if container["name"] == "humbaba"]
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in containers(pod):
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                problem(where, f"container {container['name']} mounts {mount['name']}, which is no volume")
    for container in ours:
        if container in pod.get("initContainers", []) and container.get("restartPolicy") != "Always":
            problem(where, "the sidecar is no native sidecar")
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            problem(where, "the root file system is writable")
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or "memory" not in resources.get("requests", {}):
            problem(where, "memory has no request or no limit")
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
            if container.get(probe, {}).get("exec", {}).get("command") != ["/humbaba", "healthcheck"]:
                problem(where, f"{probe} does not run /humbaba healthcheck")
        if humbaba:
            accepts(where, humbaba, variables(container))


def variables(container):
    return {entry["name"]: entry["value"] for entry in container["env"]}


def check_alike(work):
    """The chart with TLS sets what the kustomization sets, with which tests start the program."""
    found = {}
    for file in ["kustomize-standalone-tls.yaml", "helm-tls.yaml"]:
        path = os.path.join(work, file)
        if not os.path.exists(path):
            return
        pods = filter(None, map(pod_spec, objects(path)))
        found[file] = variables(next(pods)["containers"][0])
    kustomized, charted = found.values()
    if kustomized != charted:
        problem("TLS", f"the chart and the kustomization differ: {kustomized} {charted}")


def accepts(where, humbaba, variables):
    """The program itself says whether it accepts the settings."""
    environment = {"PATH": os.environ["PATH"], **variables}
    ran = subprocess.run([humbaba, "serve", "--print-config"], env=environment,
                         capture_output=True, text=True)
    if ran.returncode != 0:
        problem(where, f"humbaba refuses its settings: {ran.stderr.strip()}")


def check_monitors(found, node, models, work):
    """Against the types of the Prometheus operator."""
    path = os.path.join(work, "monitors.json")
    json.dump(found, open(path, "w"))
    script = os.path.join(models, "check-monitors.mjs")
    open(script, "w").write("""
        import { readFileSync } from 'node:fs';
        import * as types from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
        let failed = false;
        for (const object of JSON.parse(readFileSync(process.argv[2]))) {
            try { new types[object.kind](object).validate(); }
            catch (error) { failed = true; console.error(object.kind, object.metadata.name, String(error)); }
        }
        process.exit(failed ? 1 : 0);
    """)
    ran = subprocess.run([node, script, path], capture_output=True, text=True)
    if ran.returncode != 0:
        problem("Prometheus operator", ran.stderr.strip())


def prometheus_rule():
    """The alert rules as deploy/README.md makes an object of them."""
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": {"name": "humbaba"},
            "spec": yaml.safe_load(open("deploy/monitoring/alerts.yaml"))}


def check_dockerfile():
    """Both images start the program alike, and the one without a solver is what is built by default."""
    stages = re.split(r"^FROM ", open("deploy/Dockerfile").read(), flags=re.MULTILINE)[1:]
    names = [stage.splitlines()[0] for stage in stages]
    if names[1:] != ["${DEBIAN_IMAGE} AS humbaba-proofs", "scratch"]:
        problem("Dockerfile", f"the stages are {names}")
        return
    alike = ["ARG ", "COPY ", "USER ", "WORKDIR ", "ENTRYPOINT ", "CMD "]
    of_proofs, of_default = (
        [line for line in stage.splitlines() if line.startswith(tuple(alike))]
        + re.findall(r"(org\.opencontainers\.image\.\w+)=", stage)
        for stage in stages[1:])
    if of_proofs != of_default:
        problem("Dockerfile", f"the images differ: {of_proofs} {of_default}")


def dashboard_queries(work):
    """The dashboard's queries as recording rules, which promtool can read."""
    dashboard = json.load(open("deploy/monitoring/dashboard.json"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) != len(ids):
        problem("dashboard", "two panels have one id")
    rules = []
    for panel in panels:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "5m")
            query = re.sub(r"\$[a-z]+", ".*", query)
            rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": query})
    groups = {"groups": [{"name": "dashboard", "rules": rules}]}
    yaml.safe_dump(groups, open(os.path.join(work, "dashboard-queries.yaml"), "w"))


def main():
    arguments = argparse.ArgumentParser()
    for flag in ["work", "node", "models", "humbaba"]:
        arguments.add_argument(f"--{flag}", default="")
    given = arguments.parse_args()
    humbaba = os.path.abspath(given.humbaba) if given.humbaba else ""

    count, monitors = 0, [prometheus_rule()]
    for path in sorted(glob.glob(os.path.join(given.work, "kustomize-*.yaml"))
                       + glob.glob(os.path.join(given.work, "helm-*.yaml"))):
        for found in objects(path):
            count += 1
            where = name(path, found)
            if found["apiVersion"].startswith("monitoring.coreos.com/"):
                monitors.append(found)
                continue
            check_schema(where, found)
            if pod := pod_spec(found):
                check_restricted(where, pod)
                check_humbaba(where, pod, humbaba)
    check_alike(given.work)
    check_dockerfile()
    if given.node:
        check_monitors(monitors, given.node, given.models, given.work)

    chart = pathlib.Path("deploy/helm/humbaba")
    schema = json.loads((chart / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(defaults):
        problem("values.yaml", error.message)

    compose = yaml.safe_load(open("deploy/compose.yaml"))
    if humbaba:
        accepts("compose.yaml", humbaba, compose["services"]["humbaba"]["environment"])
    dashboard_queries(given.work)

    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    print(f"   {count} objects are valid in Kubernetes {', '.join(KUBERNETES)}")
    return 0


sys.exit(main())
