"""`python -m tests.k8s.lint_manifests`: k8s/ against the schemas of Kubernetes, and by promtool."""

import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate  # type: ignore[import-untyped]
import orjson
import yaml

from tests.k8s.kustomize import Document
from tests.k8s.manifests import K8S, Overlay, overlays

MONITORING = K8S / "monitoring"
OLDEST_KUBERNETES = "1.30"
# The Prometheus operator's: no schema of Kubernetes has them.
_FOREIGN = "monitoring.coreos.com/v1"


def faults_of(document: Document, version: str) -> list[str]:
    """What the schemas of this version of Kubernetes have against it: nothing, or one fault."""
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(str(part) for part in error.absolute_path)
        return [f"{document['metadata']['name']}: {path}: {error.message}"]
    return []


def _check_schemas(name: str, overlay: Overlay) -> int:
    """Prints and counts the faults."""
    faults = 0
    native = [document for document in overlay.documents if document["apiVersion"] != _FOREIGN]
    for version in (OLDEST_KUBERNETES, kubernetes_validate.latest_version()):
        found = [fault for document in native for fault in faults_of(document, version)]
        print(*found, f"{name}, Kubernetes {version}: {len(native)} manifests", sep="\n")
        faults += len(found)
    for document in overlay.documents:
        if document not in native:
            print(f"{name}, {document['kind']}: SKIPPED, there is no schema")
    return faults


def dashboard_expressions() -> list[str]:
    """Every query of the dashboard's panels."""
    dashboard = orjson.loads((MONITORING / "dashboard.json").read_bytes())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def _check_monitoring() -> int:
    """Prints and counts the faults."""
    if shutil.which("promtool") is None:
        print("alerts, dashboard: SKIPPED, no promtool (Debian: apt-get install prometheus)")
        return 0
    # promtool reads rules only; the interval is Grafana's to fill in.
    queries = [query.replace("$__rate_interval", "5m") for query in dashboard_expressions()]
    recorded = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as rules:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}, rules)
        rules.flush()
        return (
            _promtool("alerts", "check", "rules", "alerts.yaml")
            + _promtool("alerts, tested", "test", "rules", "alerts-test.yaml")
            + _promtool("dashboard", "check", "rules", rules.name)
        )


def _promtool(what: str, *arguments: str) -> int:
    """Prints what it has to say of that; 1 if there is a fault."""
    command = ["promtool", *arguments]
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        print(f"{what}: ok")
        return 0
    print(f"{what}:", done.stdout, done.stderr, sep="\n")
    return 1


def main() -> int:
    with overlays() as found:
        faults = sum(_check_schemas(name, overlay) for name, overlay in found.items())
    faults += _check_monitoring()
    print(f"manifests: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
