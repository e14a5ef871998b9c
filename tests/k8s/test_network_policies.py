"""k8s/: who may talk to whom."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from tests.k8s.manifests import SERVER, VALKEY, Overlay, overlays, ports


@pytest.fixture(scope="module")
def every_overlay() -> Iterator[dict[str, Overlay]]:
    with overlays() as found:
        yield found


@pytest.fixture(params=["dev", "production", "production with components"])
def overlay(every_overlay: dict[str, Overlay], request: pytest.FixtureRequest) -> Overlay:
    return every_overlay[request.param]


def namespace(name: str) -> dict[str, object]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def admitted(overlay: Overlay, labels: dict[str, str]) -> dict[str, list[object] | None]:
    """Who may connect to pods with these labels, by the name of the port; None: everybody."""
    (target,) = overlay.selected(labels)
    names = {number: name for name, number in ports(target).items()}
    return {
        names[port["port"]]: rule.get("from")
        for policy in overlay.policies_of(labels)
        for rule in policy.get("ingress", [])
        for port in rule["ports"]
    }


def test_what_is_not_allowed_is_refused(overlay: Overlay) -> None:
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert everything in [policy["spec"] for policy in overlay.of_kind("NetworkPolicy")]
    for policy in overlay.of_kind("NetworkPolicy"):
        spec = policy["spec"]
        wanted = {name for name in ("Ingress", "Egress") if name.lower() in spec}
        assert set(spec["policyTypes"]) >= wanted, "rules of another type would have no effect"


def test_metrics_are_for_the_monitoring_namespace_only(overlay: Overlay) -> None:
    assert admitted(overlay, SERVER)["metrics"] == [namespace("monitoring")]
    assert [p["targetPort"] for p in overlay.get("Service")["spec"]["ports"]] == ["http"]


def test_everybody_is_served_unless_an_ingress_is_the_only_way_in(overlay: Overlay) -> None:
    controller = [namespace("nginx-ingress")] if overlay.of_kind("Ingress") else None
    assert admitted(overlay, SERVER)["http"] == controller
    assert ("PROXIES_COUNT" in overlay.settings()) == (controller is not None)


def test_only_the_server_reaches_valkey(every_overlay: dict[str, Overlay]) -> None:
    dev = every_overlay["dev"]
    assert admitted(dev, VALKEY) == {"redis": [{"podSelector": {"matchLabels": SERVER}}]}
    assert not any("egress" in policy for policy in dev.policies_of(VALKEY))
    to_valkey = [
        rule["ports"]
        for policy in dev.policies_of(SERVER)
        for rule in policy.get("egress", [])
        if {"podSelector": {"matchLabels": VALKEY}} in rule["to"]
    ]
    assert to_valkey == [[{"port": ports(dev.get("StatefulSet", "valkey"))["redis"]}]]


PUBLIC = "1.1.1.1 100.128.0.1 172.32.0.1 192.169.0.1 2606:4700:4700::1111"
PRIVATE = """0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 168.63.129.16 169.254.169.254
    172.16.0.1 172.31.255.254 192.0.0.192 192.168.1.1 198.18.0.1 224.0.0.1 255.255.255.255 ::1
    fe80::1 fd00:ec2::254 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1 2001:0:a00:1::1 ff02::1"""


@pytest.mark.parametrize("text", [*PUBLIC.split(), *PRIVATE.split()])
def test_https_goes_to_public_addresses_only(overlay: Overlay, text: str) -> None:
    blocks = [
        peer["ipBlock"]
        for policy in overlay.policies_of(SERVER)
        for rule in policy.get("egress", [])
        if {"port": 443} in rule["ports"]
        for peer in rule["to"]
    ]
    reached = any(
        ip_address(text) in ip_network(block["cidr"])
        and not any(ip_address(text) in ip_network(excluded) for excluded in block["except"])
        for block in blocks
    )
    assert reached == (text in PUBLIC.split())
