"""What a metered call to a provider costs, beside bare Sanic and aiohttp that pass it through."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from tests.bench import peers, table, users
from tests.bench.load import Load, measure
from tests.bench.peers import Peer
from tests.bench.service import RICH, Service, running
from tests.endpoints import endpoint, text_config

ROUNDS = 7
SECONDS = 2
WARM_UP_SECONDS = 2
USERS = 1_000
MOST = {"not streamed": 1.35, "streamed, 50 chunks": 1.5}
MOST_OF_RESPONSES = 1.1
"""Times what a chat completion costs."""
_MODEL = "bench-model"
_CALL: dict[str, Any] = {
    "model": _MODEL,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
        {"role": "user", "content": "Why is metering in one atomic step a good idea? " * 4},
    ],
    "max_tokens": 200,
    "temperature": 0.7,
}


_RESPONSE = {
    "model": _MODEL,
    "instructions": _CALL["messages"][0]["content"],
    "input": _CALL["messages"][1:],
    "max_output_tokens": 200,
    "temperature": 0.7,
}


def body_of_call(stream: bool) -> str:
    return orjson.dumps({**_CALL, "stream": stream}).decode()


@contextmanager
def side_by_side(folder: Path) -> Iterator[tuple[Service, Peer]]:
    """The service with USERS users, and the pass-through, before the same provider."""
    with (
        peers.upstream(folder) as upstream,
        peers.passthrough(folder, upstream.url) as bare,
        running(
            folder,
            tenant=text_config(
                {
                    "openai": endpoint(
                        upstream.url,
                        default_model=_MODEL,
                        responses_url=f"{upstream.url}/v1/responses",
                    )
                },
                anonymous=RICH,
            ),
            ALLOW_PRIVATE_UPSTREAMS="1",
        ) as service,
    ):
        service.add_users(USERS)
        yield service, bare


def run(folder: Path) -> None:
    with side_by_side(folder) as (service, bare):
        table.title(
            f"CPU of one provider call, us: median (min-max) of {ROUNDS} rounds of {SECONDS} s, "
            "every answer was 200"
        )
        table.row("", "pass-through", "vibe-server", "Redis")
        for label, most in MOST.items():
            body = body_of_call(stream=label != "not streamed")
            path = f"/{service.api.tenant_id}/v1/chat/completions"
            loads = {
                "bare": (Load(bare.url + path, users.API_KEY, USERS, body), {"server": bare.pid}),
                "ours": (Load(service.server.url + path, users.API_KEY, USERS, body), service.pids),
            }
            _compare(label, most, loads)
        for label in MOST:
            _compare_responses(label, service)


def _compare_responses(label: str, service: Service) -> None:
    stream = label != "not streamed"
    base = f"{service.server.url}/{service.api.tenant_id}/v1"
    response = orjson.dumps({**_RESPONSE, "stream": stream}).decode()
    found: dict[str, list[float]] = {}
    asked = {"chat/completions": body_of_call(stream), "responses": response}
    loads = {name: Load(f"{base}/{name}", users.API_KEY, USERS, asked[name]) for name in asked}
    for load in loads.values():
        load.send(WARM_UP_SECONDS)
    for _ in range(ROUNDS):
        for name, load in loads.items():
            cost = measure(load, SECONDS, service.pids)["server"]
            found.setdefault(name, []).append(cost)
    chats, responses = found.values()
    ratios = [mine / theirs for mine, theirs in zip(responses, chats, strict=True)]
    table.row(f"a response, {label}", "", table.spread(responses))
    table.row(
        "  response / chat completion",
        table.spread(ratios, 2),
        note=table.limit(ratios, MOST_OF_RESPONSES),
    )


def _compare(label: str, most: float, loads: dict[str, tuple[Load, dict[str, int]]]) -> None:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for load, _ in loads.values():
        load.send(WARM_UP_SECONDS)
    for _ in range(ROUNDS):
        for name, (load, pids) in loads.items():
            found[name].append(measure(load, SECONDS, pids))
    bare, ours = ([cost["server"] for cost in found[name]] for name in ("bare", "ours"))
    redis = [cost["redis"] for cost in found["ours"]]
    table.row(label, *(table.spread(costs) for costs in (bare, ours, redis)))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    table.row(
        "  vibe-server / pass-through", table.spread(ratios, 2), note=table.limit(ratios, most)
    )
    print(f"    more than the pass-through: {median(ours) - median(bare):.0f} us")
