"""The dashboard and the alerts speak of metrics, labels and routes that exist."""

import re
from pathlib import Path
from typing import Any, get_args

import httpx
import orjson
import pytest
import yaml

from server import errors
from server.billing.errors import InvalidSignature, NotApplied
from server.errors import Unavailable
from server.metering import errors as metering_errors
from server.metrics import FAMILIES
from server.metrics.families import Family, Histogram
from server.providers import errors as provider_errors
from server.providers.errors import ProviderError
from server.timed.verdict import Outcome
from server.voice import opening
from tests.k8s.lint_manifests import dashboard_expressions
from tests.k8s.manifests import K8S, overlays
from tests.openapi import document
from tests.processes import Server, Valkey, free_port

MONITORING = K8S / "monitoring"
DASHBOARD: dict[str, Any] = orjson.loads((MONITORING / "dashboard.json").read_bytes())


def _alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


REFUSALS = [
    kind
    for kind in {**vars(errors), **vars(metering_errors), **vars(provider_errors)}.values()
    if isinstance(kind, type) and issubclass(kind, errors.Refusal)
]
EXPRESSIONS = [*dashboard_expressions(), *(rule["expr"] for rule in _alerts())]


def _series() -> dict[str, Family]:
    """Every name that a scrape can have."""
    found: dict[str, Family] = {}
    for name, family in FAMILIES.items():
        endings = ("_bucket", "_sum", "_count") if isinstance(family, Histogram) else ("",)
        found |= {name + ending: family for ending in endings}
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_metrics_and_labels_exist(expression: str) -> None:
    series = _series()
    bare = re.sub(r'"[^"]*"', "", expression)
    names = re.findall(r"\bvibe_\w+", bare)
    assert names
    assert set(names) <= set(series)
    for name, matchers in re.findall(r"(vibe_\w+)\{(.*?)\}", bare):
        assert set(re.findall(r"\w+", matchers)) <= {*series[name].labels, "le"}
    for name, bound in re.findall(r'(vibe_\w+)\{le="(.*?)"\}', expression):
        family = series[name]
        assert isinstance(family, Histogram)
        assert bound in (*map(str, family.bounds), "+Inf")
    labels = {label for name in names for label in series[name].labels} | {"le"}
    for grouping in re.findall(r"\bby \((.*?)\)", bare):
        assert set(re.findall(r"\w+", grouping)) <= labels


def test_prometheus_gets_them_from_a_server_with_these_settings(
    valkey: Valkey, tmp_path: Path
) -> None:
    with overlays() as found:
        overlay = found["production with components"]
    (endpoint,) = overlay.get("ServiceMonitor")["spec"]["endpoints"]
    port = free_port()
    changes = {"PORT": "0", "METRICS_PORT": str(port), "DRAIN_SECONDS": "0"}
    settings = overlay.settings() | changes | {"REDIS_URL": valkey.url}
    with Server(tmp_path / "out", wait=True, **settings):
        text = httpx.get(f"http://127.0.0.1:{port}{endpoint['path']}").raise_for_status().text
    assert set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) == set(FAMILIES)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set(re.findall(r"\bvibe_\w+", " ".join(dashboard_expressions())))
    assert {family.name for name, family in _series().items() if name in shown} == set(FAMILIES)


def test_routes_exist() -> None:
    paths = document()["paths"].items()
    routes = {f"{method.upper()} {path}" for path, methods in paths for method in methods}
    assert set(re.findall(r'route!?="(.*?)"', " ".join(EXPRESSIONS))) <= routes


def test_only_the_providers_faults_fire_its_alert() -> None:
    """tests/gateway/test_metrics.py shows that a server sends these labels."""
    (rule,) = [rule for rule in _alerts() if rule["alert"] == "VibeServerProviderFails"]
    (pattern,) = re.findall(r'outcome=~"(.*?)"', rule["expr"])
    fire = {kind.label for kind in REFUSALS if re.fullmatch(pattern, kind.label)}
    assert fire == {kind.label for kind in REFUSALS if issubclass(kind, ProviderError)}
    assert not any(re.fullmatch(pattern, outcome) for outcome in ("completed", "client_gone"))
    selectors = re.findall(r'outcome[!=~]+"', " ".join(EXPRESSIONS))
    assert len(selectors) == 2 + 1 + 3, "this one, the next and those of voice are tested"


def test_events_that_come_again_fire_their_alert() -> None:
    (rule,) = [rule for rule in _alerts() if rule["alert"] == "VibeServerEventsFail"]
    (pattern,) = re.findall(r'outcome=~"(.*?)"', rule["expr"])
    assert set(pattern.split("|")) == {
        kind.label for kind in (NotApplied, Unavailable, InvalidSignature)
    }


def test_the_outcomes_of_voice_exist() -> None:
    causes = [cause for cause in vars(opening).values() if isinstance(cause, opening.Cause)]
    outcomes = {*(cause.outcome for cause in causes), "failed", *get_args(Outcome)}
    rules = [rule for rule in _alerts() if "of voice" in str(rule) or "calls cost" in str(rule)]
    selected = re.findall(r'outcome=~?"(.*?)"', " ".join(rule["expr"] for rule in rules))
    assert set(selected) == {"provider|failed", "estimated"}
    assert {name for one in selected for name in one.split("|")} <= outcomes


def test_each_refusal_has_a_label_of_its_own() -> None:
    # Those have ProviderError's.
    others = (provider_errors.ProviderFailed, provider_errors.ReplyTooLarge)
    own = [kind for kind in REFUSALS if kind not in others]
    labels = [kind.label for kind in own if kind.label or not kind.__subclasses__()]
    assert "" not in labels
    assert len(labels) == len(set(labels))


def test_every_alert_says_what_is_wrong_and_how_much_it_matters() -> None:
    for rule in _alerts():
        assert rule["alert"].startswith("VibeServer")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")


def test_the_panels_do_not_overlap() -> None:
    cells: list[tuple[int, int]] = []
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells += [(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
