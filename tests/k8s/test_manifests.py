"""k8s/: what no schema can say. The schemas: `python -m tests.k8s.lint_manifests`."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml

from server.settings import Settings
from server.timeouts import Timeouts
from tests.k8s.kustomize import Document
from tests.k8s.lint_manifests import OLDEST_KUBERNETES, faults_of
from tests.k8s.manifests import K8S, SERVER, Overlay, container, overlays, ports
from tests.processes import ROOT

TIMEOUTS = Timeouts()


@pytest.fixture(scope="module")
def every_overlay() -> Iterator[dict[str, Overlay]]:
    with overlays() as found:
        yield found


@pytest.fixture(params=["dev", "production", "production with components"])
def overlay(every_overlay: dict[str, Overlay], request: pytest.FixtureRequest) -> Overlay:
    return every_overlay[request.param]


@pytest.fixture
def dev(every_overlay: dict[str, Overlay]) -> Overlay:
    return every_overlay["dev"]


@pytest.fixture
def production(every_overlay: dict[str, Overlay]) -> Overlay:
    return every_overlay["production"]


@pytest.fixture
def complete(every_overlay: dict[str, Overlay]) -> Overlay:
    return every_overlay["production with components"]


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.yaml")), ids=lambda path: path.name)
def test_files_are_in_block_style(path: Path) -> None:
    """A line for each value, so that a patch or a diff shows one."""
    for event, after in pairwise(yaml.parse(path.read_text())):
        if getattr(event, "flow_style", False):
            assert isinstance(after, yaml.CollectionEndEvent), f"not empty: {event.start_mark}"


def test_our_renderer_does_what_kubectl_does(overlay: Overlay) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing")
    command = [kubectl, "kustomize", str(overlay.folder)]
    output = subprocess.run(command, capture_output=True, check=True).stdout

    def by_name(documents: list[Document]) -> dict[tuple[str, str], Document]:
        return {(d["kind"], d["metadata"]["name"]): d for d in documents}

    assert by_name(overlay.documents) == by_name(list(yaml.safe_load_all(output)))


def test_the_schemas_find_faults(production: Overlay) -> None:
    service = production.get("Service")
    assert faults_of(service, OLDEST_KUBERNETES) == []
    misspelt = {**service, "spec": {**service["spec"], "clusterip": "None"}}
    assert "clusterip" in faults_of(misspelt, OLDEST_KUBERNETES)[0]


def test_every_selector_finds_its_pods(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        labels = workload["spec"]["selector"]["matchLabels"]
        assert overlay.selected(labels) == [workload]
        for spread in workload["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"] == labels
    for service in overlay.of_kind("Service"):
        assert len(overlay.selected(service["spec"]["selector"])) == 1
    for budget in overlay.of_kind("PodDisruptionBudget"):
        assert budget["spec"]["selector"]["matchLabels"] == SERVER
    for policy in overlay.of_kind("NetworkPolicy"):
        if labels := policy["spec"]["podSelector"].get("matchLabels"):
            assert len(overlay.selected(labels)) == 1, policy["metadata"]["name"]


def test_all_is_in_one_namespace_which_is_restricted(overlay: Overlay) -> None:
    (namespace,) = overlay.of_kind("Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [d["metadata"]["namespace"] for d in overlay.documents if d is not namespace]
    assert set(others) == {namespace["metadata"]["name"]}


def test_ports_agree(overlay: Overlay) -> None:
    (server,) = overlay.selected(SERVER)
    values = overlay.settings()
    assert ports(server) == {"http": int(values["PORT"]), "metrics": int(values["METRICS_PORT"])}
    for service in overlay.of_kind("Service"):
        (target,) = overlay.selected(service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports(target)


def test_probes_ask_routes_that_exist(overlay: Overlay, client: httpx.Client) -> None:
    server = overlay.server()
    paths = {}
    for kind in ("startup", "liveness", "readiness"):
        asked = server[f"{kind}Probe"]["httpGet"]
        assert asked["port"] == "http"
        assert client.get(asked["path"]).status_code == 200
        paths[kind] = asked["path"]
    # Redis that is away must not get pods killed, and must be seen before the probe gives up.
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    redis_timeout = Settings.from_environment(overlay.settings()).redis_timeout
    assert server["readinessProbe"]["timeoutSeconds"] > redis_timeout


def test_a_pod_has_the_time_it_needs_to_stop(overlay: Overlay) -> None:
    pod = overlay.get("Deployment")["spec"]["template"]["spec"]
    value = Settings.from_environment(overlay.settings())
    needed = value.drain_seconds + value.grace_seconds + TIMEOUTS.kill
    assert pod["terminationGracePeriodSeconds"] > needed
    assert value.grace_seconds >= TIMEOUTS.first_byte + TIMEOUTS.idle
    assert value.grace_seconds >= TIMEOUTS.let_end + TIMEOUTS.read_on + TIMEOUTS.finish
    # What follows the readiness of pods (proxies, balancers) does so within some seconds.
    assert value.drain_seconds >= 5


def test_every_variable_is_a_setting_with_a_good_value(overlay: Overlay) -> None:
    environment = overlay.settings()
    for variable in overlay.server()["env"]:
        if "valueFrom" in variable:
            secret = variable["valueFrom"]["secretKeyRef"]
            assert secret == {"name": "vibe-server", "key": variable["name"]}
        environment[variable["name"]] = variable.get("value", "redis://from-the-secret")
    assert set(environment) <= {name.upper() for name in Settings.model_fields}
    assert {"ADMIN_TOKEN", "REDIS_URL"} <= set(environment)
    value = Settings.from_environment(environment)
    assert value.host == "0.0.0.0"
    assert not value.allow_private_upstreams


def test_there_is_no_secret_here(overlay: Overlay, production: Overlay) -> None:
    assert not overlay.of_kind("Secret")
    assert all("valueFrom" in variable for variable in production.server()["env"])


def test_pods_may_do_nothing_but_their_work(overlay: Overlay) -> None:
    for workload in overlay.workloads():
        pod = workload["spec"]["template"]["spec"]
        only = container(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert only["resources"]["requests"].keys() == only["resources"]["limits"].keys()
        assert re.fullmatch(r"[\w/-]+:\d+\.\d+\.\d+(-\w+)?", only["image"])


def test_the_image_is_this_version_and_its_user(production: Overlay) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert production.server()["image"] == f"vibe-server:{version}"
    users = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    pod = production.get("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == int(users[-1])


def test_dev_is_one_server_and_one_valkey_that_keeps_its_data(dev: Overlay) -> None:
    assert dev.get("Deployment")["spec"]["replicas"] == 1
    valkey = dev.get("StatefulSet", "valkey")
    words = [*container(valkey)["command"], *container(valkey)["args"]]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    (volume,) = valkey["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(valkey)["volumeMounts"]}
    assert mounts == {volume["metadata"]["name"]: options["--dir"]}
    (url,) = [v["value"] for v in dev.server()["env"] if v["name"] == "REDIS_URL"]
    (port,) = dev.get("Service", "valkey")["spec"]["ports"]
    assert url == f"redis://valkey:{port['port']}"


def test_production_scales_and_survives_a_rollout(production: Overlay) -> None:
    assert not production.of_kind("StatefulSet")
    deployment = production.get("Deployment")["spec"]
    rolling = deployment["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0
    assert rolling["maxSurge"]
    scaler = production.get("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["kind"] == "Deployment"
    assert scaler["scaleTargetRef"]["name"] == "vibe-server"
    # Each `kubectl apply` would undo what the autoscaler did.
    assert "replicas" not in deployment
    assert scaler["minReplicas"] >= 2
    budget = production.get("PodDisruptionBudget")["spec"]
    assert 1 <= budget["maxUnavailable"] < scaler["minReplicas"]


def test_the_ingress_streams(complete: Overlay) -> None:
    ingress = complete.get("Ingress")
    options = ingress["metadata"]["annotations"]
    assert options["nginx.org/proxy-buffering"] == "false"
    assert options["nginx.org/client-max-body-size"] == "10m"
    for direction in ("read", "send"):
        seconds = int(options[f"nginx.org/proxy-{direction}-timeout"].removesuffix("s"))
        assert seconds > max(TIMEOUTS.first_byte, TIMEOUTS.idle, 2 * TIMEOUTS.heartbeat)
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = complete.get("Service", backend["name"])
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert options["nginx.org/websocket-services"] == backend["name"]
    assert complete.settings()["PROXIES_COUNT"] == "1"


def test_the_servicemonitor_finds_the_metrics(complete: Overlay) -> None:
    monitor = complete.get("ServiceMonitor")["spec"]
    labels = monitor["selector"]["matchLabels"].items()
    services = complete.of_kind("Service")
    (found,) = [s for s in services if labels <= s["metadata"].get("labels", {}).items()]
    (endpoint,) = monitor["endpoints"]
    (port,) = found["spec"]["ports"]
    assert (endpoint["port"], port["targetPort"]) == (port["name"], "metrics")
    assert endpoint["path"] == "/metrics"


def test_the_manifests_are_few_enough_to_read() -> None:
    """Counted in keys and values: block style has more lines, and says no more."""
    files = [path for path in K8S.rglob("*.yaml") if path.parent.name != "monitoring"]
    events = [event for path in files for event in yaml.parse(path.read_text())]
    assert sum(isinstance(event, yaml.ScalarEvent) for event in events) <= 750
