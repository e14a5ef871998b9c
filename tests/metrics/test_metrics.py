"""The metrics say what happened: exactly, over all workers, whatever becomes of these."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from server import metrics
from server.metrics.families import MOST_NAMED, OTHER, Counter, Histogram
from server.metrics.shared import HALF_BYTES, Shared, ThisWorker
from server.metrics.text import render
from tests.api import ADMIN, Api, config
from tests.metrics.scrape import Labels, Scrape, scrape
from tests.processes import Server, Valkey, eventually, free_port
from tests.stored import let_holds_expire

ROUTES = "vibe_requests_total"


class Service:
    """A server of this file's own, whose counts no other test changes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # Each request has a connection of its own: any worker may get it.
        self.client = httpx.Client(base_url=server.url, timeout=10, headers={"Connection": "close"})

    def scrape(self) -> Scrape:
        return scrape(self.client)

    def eventually(self, expected: float, name: str, **labels: object) -> None:
        eventually(lambda: self.scrape().value(name, **labels) == expected)


@pytest.fixture(scope="module")
def service(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    output = tmp_path_factory.mktemp("metrics") / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2") as server:
        service = Service(server)
        with service.client:
            yield service


@pytest.fixture
def api(service: Service) -> Api:
    return Api.new_tenant(service.client)


def send(count: int, request: object) -> list[httpx.Response]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda _: request(), range(count)))  # type: ignore[operator]


def test_charges_are_counted_exactly(service: Service, api: Api) -> None:
    route, tenant = "POST /{tenantId}/charges", api.tenant_id
    before = service.scrape()
    user = api.login()
    charged = send(45, lambda: user.charge(2))
    assert {reply.status_code for reply in charged} == {200}
    assert {reply.status_code for reply in send(20, lambda: user.charge(50))} == {402}
    unknown = {"Authorization": "Bearer unknown"}
    refused = send(15, lambda: api.post("/charges", {}, unknown))
    assert {reply.status_code for reply in refused} == {401}
    service.eventually(45, "vibe_charges_total", tenant=tenant, outcome="charged")
    service.eventually(20, "vibe_charges_total", tenant=tenant, outcome="payment_required")
    service.eventually(15, "vibe_charges_total", tenant=tenant, outcome="invalid_api_key")
    service.eventually(90, "vibe_tokens_total", tenant=tenant, outcome="charged")
    service.eventually(90, "vibe_tokens_total", tenant=tenant)
    service.eventually(1, "vibe_logins_total", tenant=tenant, outcome="logged_in")
    for status, count in ((200, 45), (402, 20), (401, 15)):
        total = before.value(ROUTES, route=route, status=status) + count
        service.eventually(total, ROUTES, route=route, status=status)
        assert count <= service.scrape().value("vibe_requests_total", status=status)
    for status, reason, count in ((402, "payment_required", 20), (401, "invalid_api_key", 15)):
        total = before.value("vibe_refusals_total", status=status, reason=reason) + count
        service.eventually(total, "vibe_refusals_total", status=status, reason=reason)


def test_rate_limits_and_replays_are_outcomes(service: Service) -> None:
    limited = {"tokens": 100, "rate_limit": 3, "rate_limit_window": 60}
    api = Api.new_tenant(service.client, config(anonymous=limited))
    user = api.login()
    before = service.scrape().value("vibe_refusals_total", status=429)
    for _ in range(2):
        assert user.charge(4, **{"Idempotency-Key": "same"}).status_code == 200
    replies = send(12, lambda: user.charge(1))
    assert sorted(reply.status_code for reply in replies) == [200] * 2 + [429] * 10
    tenant = api.tenant_id
    service.eventually(10, "vibe_charges_total", tenant=tenant, outcome="too_many_requests")
    service.eventually(3, "vibe_charges_total", tenant=tenant, outcome="charged")
    service.eventually(1, "vibe_charges_total", tenant=tenant, outcome="replayed")
    service.eventually(6, "vibe_tokens_total", tenant=tenant)
    service.eventually(before + 10, "vibe_refusals_total", status=429, reason="too_many_requests")


def test_holds_and_settles(service: Service, api: Api) -> None:
    user = api.login()
    held = send(3, lambda: api.post("/holds", {"tokens": 20}, user.headers))
    ids = [reply.json()["holdId"] for reply in held]
    assert api.post("/holds", {"tokens": 50}, user.headers).status_code == 402
    for hold_id, tokens in zip(ids, (5, 7, 0), strict=True):
        reply = api.post(f"/holds/{hold_id}/settle", {"tokens": tokens}, user.headers)
        assert reply.status_code == 200
    again = api.post(f"/holds/{ids[0]}/settle", {"tokens": 1_000}, user.headers)
    assert again.json()["tokens"] == 5
    unknown = api.post(f"/holds/{'0' * 32}/settle", {"tokens": 1}, user.headers)
    assert unknown.status_code == 404
    tenant = api.tenant_id
    service.eventually(3, "vibe_holds_total", tenant=tenant, outcome="held")
    service.eventually(1, "vibe_holds_total", tenant=tenant, outcome="payment_required")
    service.eventually(3, "vibe_settles_total", tenant=tenant, outcome="settled")
    service.eventually(1, "vibe_settles_total", tenant=tenant, outcome="replayed")
    service.eventually(1, "vibe_settles_total", tenant=tenant, outcome="unknown_hold")
    service.eventually(12, "vibe_tokens_total", tenant=tenant, outcome="settled")
    assert service.scrape().value("vibe_overrun_tokens_total", tenant=tenant) == 0


def test_holds_that_went_back(service: Service, api: Api, valkey: Valkey) -> None:
    """Whatever was asked when that was noticed, and however it was answered."""
    before = service.scrape().value("vibe_expired_holds_total")
    for status, tokens in ((200, 1), (402, 101)):
        user = api.login()
        for _ in range(2):
            assert user.hold({"tokens": 20}).status_code == 201
        let_holds_expire(valkey, user)
        assert user.charge(tokens).status_code == status
    service.eventually(before + 4, "vibe_expired_holds_total")


def test_histograms_agree_with_counters(service: Service, api: Api) -> None:
    user = api.login()
    send(20, user.charge)
    route = "POST /{tenantId}/charges"

    def agree() -> bool:
        scrape = service.scrape()
        count = scrape.value("vibe_request_duration_seconds_count", route=route)
        seconds = scrape.value("vibe_request_duration_seconds_sum", route=route)
        last = scrape.value("vibe_request_duration_seconds_bucket", route=route, le="+Inf")
        flushes = scrape.value("vibe_redis_flush_duration_seconds_count")
        sent = scrape.value("vibe_redis_flush_commands_sum")
        return (
            count == last == scrape.value(ROUTES, route=route)
            and 0 < seconds < count
            and 0 < flushes <= sent
        )

    eventually(agree)


def test_what_clients_make_up_is_no_label(service: Service, api: Api) -> None:
    user = api.login()
    user.charge()
    service.eventually(1, "vibe_logins_total", tenant=api.tenant_id)
    service.eventually(1, "vibe_charges_total", tenant=api.tenant_id)
    before = service.scrape()
    names = [f"x-{uuid4().hex}" for _ in range(20)]
    for name in names:
        service.client.get(f"/{name}")
        service.client.request(name.upper()[:20].replace("-", ""), "/tenants")
        service.client.post(f"/{name}/charges", headers=user.headers)
        service.client.post(f"/{api.tenant_id}/{name}", headers=user.headers)
        api.get(f"/admin/users/{name}", ADMIN)
    service.eventually(
        before.value(ROUTES, route=metrics.UNKNOWN_ROUTE) + 3 * len(names),
        ROUTES,
        route=metrics.UNKNOWN_ROUTE,
    )
    after = service.scrape()
    assert after.labels("tenant") == before.labels("tenant")
    assert after.labels("route") - before.labels("route") <= {
        metrics.UNKNOWN_ROUTE,
        "GET /{tenantId}/admin/users/{userId}",
    }
    everything = str(after.values)
    assert user.user_id not in everything
    assert user.api_key not in everything
    assert not any(name in everything for name in names)


def test_no_counter_ever_goes_back(service: Service, api: Api) -> None:
    user = api.login()
    with ThreadPoolExecutor(1) as threads:
        charges = threads.submit(lambda: [user.charge().status_code for _ in range(100)])
        last: dict[tuple[str, Labels], float] = {}
        while not charges.done():
            now = service.scrape().values
            for key, value in last.items():
                assert value <= now[key] or not key[0].endswith(("_total", "_count", "_bucket"))
            last = now
        assert set(charges.result()) == {200}


def test_a_token_is_needed_on_the_public_port(service: Service, api: Api) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, api.login().headers):
        reply = service.client.get("/metrics", headers=headers)
        assert (reply.status_code, reply.json()) == (401, {"error": "Invalid admin token"})
    reply = service.client.get("/metrics", headers=ADMIN)
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(service: Service, api: Api) -> None:
    api.login().charge()
    text = service.client.get("/metrics", headers=ADMIN).text
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_a_port_of_its_own(valkey: Valkey, tmp_path: Path) -> None:
    port = free_port()
    output = tmp_path / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2", METRICS_PORT=str(port)) as server:
        url = f"http://localhost:{port}"
        assert httpx.get(f"{server.url}/metrics", headers=ADMIN).status_code == 404
        assert Scrape(httpx.get(f"{url}/metrics").text).value("vibe_workers") > 0
        assert httpx.get(f"{url}/livez").status_code == 404
        assert httpx.get(f"{url}/abc/balance").status_code == 404
        refused = httpx.post(f"{url}/metrics")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        # Whatever workers die, it comes back.
        pids = server.worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(set(server.worker_pids()) - set(pids)) == 2)
        with httpx.Client(base_url=url) as scraper:
            eventually(lambda: Scrape(scraper.get("/metrics").text).value("vibe_workers") == 2)
            # And a scraper that keeps its connection does not delay the end.
            assert server.stop() == 0
        assert "[ERROR]" not in server.text()
        assert "Traceback" not in server.text()


def test_a_taken_port(valkey: Valkey, tmp_path: Path) -> None:
    port = free_port()
    with (
        Server(tmp_path / "one", REDIS_URL=valkey.url, METRICS_PORT=str(port)),
        Server(
            tmp_path / "two", wait=False, REDIS_URL=valkey.url, METRICS_PORT=str(port)
        ) as second,
    ):
        assert second.wait() == 1
        assert second.text().startswith(f"[ERROR] Cannot listen on localhost:{port}: Address al")
        assert second.text().count("\n") == 1


def test_a_killed_worker_takes_nothing_back(valkey: Valkey, tmp_path: Path) -> None:
    with Server(tmp_path / "out", REDIS_URL=valkey.url, WORKERS="2") as server:
        service = Service(server)
        api = Api.new_tenant(service.client)
        user = api.login()
        assert {reply.status_code for reply in send(40, user.charge)} == {200}
        victim, survivor = server.worker_pids()

        def seen() -> float:
            return service.scrape().value("vibe_charges_total", tenant=api.tenant_id)

        def seen_by_the_other() -> float:
            os.kill(victim, signal.SIGSTOP)
            try:
                return seen()
            finally:
                os.kill(victim, signal.SIGCONT)

        eventually(lambda: seen_by_the_other() == 40)
        os.kill(victim, signal.SIGKILL)
        while service.scrape().value("vibe_worker_replacements_total") < 1:
            assert seen() == 40

        def alone() -> bool:
            """Newcomers are killed, until the parent waits longer and longer to replace them."""
            for pid in set(server.worker_pids()) - {survivor}:
                os.kill(pid, signal.SIGKILL)
            return service.scrape().value("vibe_workers") == 1

        eventually(alone)
        assert seen() == 40
        eventually(lambda: service.scrape().value("vibe_workers") == 2, 20)
        assert {reply.status_code for reply in send(40, user.charge)} == {200}
        eventually(lambda: seen() == 80)


@pytest.fixture
def worker() -> Iterator[ThisWorker]:
    """The counts of this process, which begin at nothing."""
    for family in metrics.FAMILIES.values():
        family.clear()
    yield ThisWorker()
    for family in metrics.FAMILIES.values():
        family.clear()


def in_all(worker: ThisWorker) -> Scrape:
    return Scrape(asyncio.run(worker.text()).decode())


def test_a_slot_is_taken_over_with_its_counts_but_not_its_gauges(worker: ThisWorker) -> None:
    shared = Shared(2)
    worker.join(shared, 0)
    metrics.stream_opened()
    metrics.charge_answered("abc", "charged", 10**13)
    metrics.flushed(3, 0.001)
    worker.publish()

    other = ThisWorker()
    other.join(shared, 1)
    metrics.charge_answered("abc", "charged", 1)
    assert in_all(other).value("vibe_tokens_total") == 10**13 + 1
    assert in_all(other).value("vibe_open_streams") == 1
    shared.died(0)
    assert in_all(other).value("vibe_tokens_total") == 10**13 + 1
    assert in_all(other).value("vibe_open_streams") == 0

    heir = ThisWorker()
    heir.join(shared, 0)
    found = in_all(heir)
    assert found.value("vibe_tokens_total") == 10**13 + 1
    assert found.value("vibe_redis_flush_commands_bucket", le="4") == 1
    assert found.value("vibe_open_streams") == 0


def test_the_last_snapshot_is_the_one_that_is_read() -> None:
    shared = Shared(1)
    for text in (b"", b"one", b"two" * 1000, b"3"):
        shared.write(0, text)
        assert shared.read(0) == text


def test_calls_to_providers(worker: ThisWorker) -> None:
    for seconds in (0.2, 2.0):
        metrics.call_ended("abc", "openai", "chat", "completed", seconds, 30)
    metrics.call_ended("abc", "openai", "chat", "timeout", 600.0, 0)
    metrics.overrun("abc", 7)
    metrics.hold_opened()
    metrics.hold_closed()
    metrics.holds_expired(2)
    metrics.settle_repeated()
    metrics.stream_opened()
    metrics.stream_closed()
    found = in_all(worker)
    of = {"tenant": "abc", "endpoint": "openai"}
    assert found.value("vibe_upstream_calls_total", outcome="completed", **of) == 2
    assert found.value("vibe_upstream_calls_total", outcome="timeout", **of) == 1
    assert found.value("vibe_upstream_tokens_total", **of) == 60
    assert found.value("vibe_tokens_total", tenant="abc", outcome="called") == 60
    assert found.value("vibe_upstream_call_duration_seconds_count", endpoint="openai") == 3
    assert found.value("vibe_upstream_call_duration_seconds_bucket", le="1") == 1
    assert found.value("vibe_overrun_tokens_total", tenant="abc") == 7
    assert found.value("vibe_expired_holds_total") == 2
    assert found.value("vibe_settle_retries_total") == 1
    assert found.value("vibe_open_holds") == found.value("vibe_open_streams") == 0


def test_only_so_many_names_are_labels() -> None:
    counter = Counter("c_total", "About.", "tenant", "outcome", bounded=1)
    for number in range(3 * MOST_NAMED):
        counter.add((f"t{number}", "a"))
        counter.add((f"t{number}", "b"), 2)
    assert len(counter.values) == 2 * (MOST_NAMED + 1)
    assert counter.values[OTHER, "a"] == [2 * MOST_NAMED]
    assert counter.values[OTHER, "b"] == [4 * MOST_NAMED]
    heir = Counter("c_total", "About.", "tenant", "outcome", bounded=1)
    heir.restore(counter.values)
    heir.add(("new", "a"))
    assert heir.values[OTHER, "a"] == [2 * MOST_NAMED + 1]


def test_the_largest_snapshot_can_be_shared(worker: ThisWorker) -> None:
    shared = Shared(1)
    worker.join(shared, 0)
    outcomes = [f"an_outcome_with_a_long_name_{number}" for number in range(8)]
    for number in range(2 * MOST_NAMED):
        tenant, endpoint = f"{number:x<63}", f"{number}".ljust(64, "\U0001f600")
        for outcome in outcomes:
            metrics.charge_answered(tenant, outcome, 5)
            metrics.hold_answered(tenant, outcome)
            metrics.settle_answered(tenant, outcome, 5)
            metrics.login_answered(tenant, outcome)
            metrics.call_ended(tenant, endpoint, "chat", outcome, 1 / 3, 5)
        metrics.overrun(tenant, 1)
    worker.publish()
    assert 0 < len(shared.read(0)) < HALF_BYTES / 2


def test_labels_are_escaped() -> None:
    odd = 'a"b\\c\nd {x="y"} \U0001f600'
    counter = Counter("c_total", "About.", "endpoint")
    counter.add((odd,), 3)
    histogram = Histogram("h_seconds", "About.", "endpoint", bounds=(0.1, 1))
    histogram.observe(0.1, (odd,))
    histogram.observe(5, (odd,))
    families = (counter, histogram)
    found = Scrape(render(families, {f.name: f.values for f in families}).decode())
    assert found.value("c_total", endpoint=odd) == 3
    assert found.value("h_seconds_bucket", endpoint=odd, le="0.1") == 1
    assert found.value("h_seconds_bucket", endpoint=odd, le="1") == 1
    assert found.value("h_seconds_bucket", endpoint=odd, le="+Inf") == 2
    assert found.value("h_seconds_sum", endpoint=odd) == 5.1


def test_names_follow_the_conventions() -> None:
    for name, family in metrics.FAMILIES.items():
        assert name.startswith("vibe_")
        assert name.endswith("_total") == (family.kind == "counter"), name
        assert family.about.endswith("."), name
