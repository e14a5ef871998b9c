"""A pod as k8s/base makes it survives the attacks on memory, one after the other.

No cgroup bounds it here, which not every machine lets a test make. The kernel's own record of what
each process had in memory at most is added up instead: pages that they share count for each, and
their peaks as if they had been at the same time, so that a pod has less than this.
"""

from collections.abc import Iterator

import pytest
import yaml

from tests.abuse.attackers import Attack, Victim, attacking
from tests.abuse.conftest import Tell
from tests.abuse.harness import Place, place
from tests.abuse.test_abuse import COMMON
from tests.processes import ROOT

SECONDS = 1
BASE = ROOT / "k8s" / "base"
FOR_THIS_MACHINE = {"HOST": "127.0.0.1", "PORT": "0", "METRICS_PORT": "0", "DRAIN_SECONDS": "0"}


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    (config_map,) = yaml.safe_load((BASE / "kustomization.yaml").read_text())["configMapGenerator"]
    settings = dict(line.split("=", 1) for line in config_map["literals"])
    with place(tmp_path_factory.mktemp("pod"), **(settings | FOR_THIS_MACHINE)) as made:
        yield made
        made.audit()


def limit_bytes() -> int:
    deployment = yaml.safe_load((BASE / "deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    text = container["resources"]["limits"]["memory"]
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi")) * 1024 * 1024


@pytest.mark.parametrize(
    "attack", [attack for attack in COMMON if attack.fills_memory], ids=lambda attack: attack.name
)
def test_it_survives(pod: Place, attack: Attack, tell: Tell) -> None:
    workers = pod.server.worker_pids()
    victim = Victim(pod.server.url, pod.valkey.url)
    with attacking(attack, victim):
        seen = pod.observe(SECONDS)
    tell(f"pod: {attack.name}", seen, victim.statuses())
    pod.recover()
    assert pod.server.worker_pids() == workers, pod.server.text()[-2000:]
    assert seen.peak_bytes < limit_bytes()
