"""Calls that end in all the ways there are, and what each of them may be charged.

The rules are those of docs/gateway.md, written anew: nothing of the server's is used to check it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from random import Random
from typing import Any, Literal, NamedTuple

import aiohttp

from tests.api import User
from tests.doubles import Answer, Call, Double
from tests.doubles.plan import Fragment, Plan
from tests.doubles.prompt import estimate as count_of_the_double
from tests.endpoints import endpoint
from tests.gateway.asking import LAST, PATHS, body_of, estimate, text_of
from tests.processes import until

Leaves = Literal["never", "before the head", "in mid-stream", "after the finish"]

CALL_SECONDS = 60
ENDLESS = 10**9
"""Steps."""
WORDS = ["time", "year", "people", "way", "day", "thing", "life", "child", "world", "school"]
ENDS_OF_RESPONSES = {
    "response.completed": "complete",
    "response.incomplete": "complete",
    "response.failed": "error",
}
LIMITS = {"responses": "max_output_tokens"}
"""The limit's name, where it is not `max_tokens`."""
SECOND = "second"
NOWHERE = "nowhere"
# What an endpoint weighs, and whether its models may reason unseen.
ENDPOINTS: dict[str, tuple[int, bool]] = {
    "openai": (1, False),
    "openai-thinker": (2, True),
    "anthropic": (3, False),
    "anthropic-thinker": (1, True),
    "responses": (3, False),
    "responses-thinker": (1, True),
    SECOND: (5, False),
    NOWHERE: (1, False),
}
# An estimate against what was used; these texts are neither the best nor the worst case.
LEAST_SHARE, LARGEST_SHARE = 0.8, 3


def endpoints_at(url: str, second_url: str) -> dict[str, dict[str, Any]]:
    """For a tenant's config; nobody listens at NOWHERE's address."""
    found = {}
    for name, (weight, reasons) in ENDPOINTS.items():
        protocol = "anthropic" if name.startswith("anthropic") else "openai"
        base = {SECOND: second_url, NOWHERE: "http://127.0.0.1:1"}.get(name, url)
        found[name] = endpoint(base, protocol, weight=weight, reasoning=reasons)
        if name.startswith("responses"):
            found[name]["responses_url"] = f"{base}/v1/responses"
    return found


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call: who asks, what the provider does, when the client leaves. As text, a recipe."""

    seed: int
    asked: str
    spoken: str
    stream: bool
    answer: Answer
    limit: int = 500
    leaves: Leaves = "never"
    status: int = 200
    endpoint: str = ""
    """The one that is asked for; by default one of the protocol that suits the answer."""
    before: Answer | None = None
    """What that one answers, when `answer` is the second one's."""
    releases: bool = True
    """Is the answer let go on from its `stop_at`, once the client has left?"""

    @property
    def key(self) -> str:
        return f"c{self.seed}"

    @cached_property
    def random(self) -> Random:
        return Random(self.seed)

    @property
    def first_endpoint(self) -> str:
        thinks = self.answer.reasoning_tokens > 0
        return self.endpoint or self.spoken + ("-thinker" if thinks else "")

    @property
    def charging(self) -> str:
        """The endpoint whose usage is charged."""
        return self.first_endpoint if self.before is None else SECOND

    @cached_property
    def body(self) -> dict[str, Any]:
        random = Random(self.seed)
        words = " ".join(random.choice(WORDS) for _ in range(random.randint(20, 60)))
        limit = LIMITS.get(self.asked, "max_tokens")
        members: dict[str, Any] = {"model": f"{self.first_endpoint}/", limit: self.limit}
        if self.stream:
            members["stream"] = True
            if self.asked == "openai":
                members["stream_options"] = {"include_usage": random.random() < 0.5}
        return body_of(self.asked, f"#{self.key} {words}", **members)

    @property
    def prompt(self) -> int:
        """Estimated."""
        return estimate(self.body["input" if self.asked == "responses" else "messages"])

    @property
    def held(self) -> int:
        weights = [ENDPOINTS[name][0] for name in (self.first_endpoint, self.charging)]
        return max(weights) * (self.prompt + self.limit)


def text_answer(random: Random, base: Answer) -> Answer:
    """`base` with a text of as many pieces, each about as long as its tokens are as a rule, and
    with the input that the double counts."""
    length = 4 * base.tokens_per_chunk
    pieces = [
        "".join(random.choices("etaoinshr ", k=random.randint(length, 2 * length)))
        for _ in base.pieces
    ]
    fields = {**vars(base), "pieces": pieces, "input_tokens": None}
    return Answer(**fields)


class Outcome(NamedTuple):
    """What a client saw; `status` None: no head. `end` is '' when the stream did not end.

    `is_killed`: the connection broke.
    """

    status: int | None
    text: str = ""
    end: Literal["", "complete", "error"] = ""
    has_finish: bool = False
    charged: int | None = None
    is_killed: bool = False


class Client:
    """Makes the calls of cases."""

    def __init__(self, session: aiohttp.ClientSession, url: str, double: Double) -> None:
        self._session, self._url, self._double = session, url, double

    async def call(self, case: Case, user: User) -> Outcome:
        if case.leaves != "before the head":
            outcome = await self._ask(case, user)
        else:
            outcome = await self._leave_early(case, user)
        # A stream that is left before its head is closed, a whole reply is waited for.
        if case.releases and (not case.stream or case.leaves == "after the finish"):
            self._double.release(case.key)
        return outcome

    async def _leave_early(self, case: Case, user: User) -> Outcome:
        task = asyncio.create_task(self._ask(case, user))
        if case.seed % 2:
            await until(lambda: task.done() or self._double.calls(case.key))
        await asyncio.sleep(case.random.uniform(0, 0.02))
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return Outcome(None)

    async def _ask(self, case: Case, user: User) -> Outcome:
        url = f"{self._url}/{user.api.tenant_id}{PATHS[case.asked]}"
        headers = {**user.headers, "X-Request-ID": case.key}
        async with self._session.post(url, json=case.body, headers=headers) as reply:
            if case.stream and reply.status == 200:
                return await self._read_stream(case, reply)
            await reply.read()
            charged = reply.headers.get("x-tokens-charged")
            return Outcome(reply.status, charged=None if charged is None else int(charged))

    async def _read_stream(self, case: Case, reply: aiohttp.ClientResponse) -> Outcome:
        pieces, data = len(case.answer.pieces), Data()
        patience = sum(map(len, islice(case.answer.pieces, case.random.randint(1, pieces))))
        text, has_finish, end = "", False, ""
        async for chunk in reply.content.iter_any():
            for one in data.feed(chunk):
                end = "complete" if one == LAST.get(case.asked) else end
                event = {} if one == "[DONE]" else json.loads(one)
                end = "error" if event.get("error") else end
                end = ENDS_OF_RESPONSES.get(event.get("type", ""), end)
                text += text_of([event])
                has_finish = has_finish or _is_finish(event)
            if case.leaves == "in mid-stream" and len(text) >= patience:
                reply.close()
                return Outcome(200, text, has_finish=has_finish)
            if case.leaves == "after the finish" and await self._is_left(case, text, has_finish):
                reply.close()
                return Outcome(200, text, has_finish=has_finish)
        assert end, f"a stream without an end: {case}"
        return Outcome(200, text, end, has_finish)  # type: ignore[arg-type]

    async def _is_left(self, case: Case, text: str, has_finish: bool) -> bool:
        """The provider has only its last step to do, and the client knows if it can."""
        if len(text) < sum(map(len, case.answer.pieces)):
            return False
        if not has_finish and case.asked == case.spoken:
            return False
        (call,) = self._double.calls(case.key)
        await until(lambda: call.steps == len(fragments(case.answer, case.limit)) + 2)
        return has_finish or (case.asked, case.spoken) == ("anthropic", "openai")


async def call_all(
    url: str, double: Double, calls: Iterable[tuple[Case, User]], at_once: int
) -> list[Outcome]:
    """Makes the calls, so many of them at a time."""
    gate = asyncio.Semaphore(at_once)
    connector = aiohttp.TCPConnector(limit=0)
    # Of a stream too: one that does not end must fail its test.
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        client = Client(session, url, double)

        async def call(case: Case, user: User) -> Outcome:
            async with gate:
                try:
                    return await client.call(case, user)
                except aiohttp.ClientError:
                    return Outcome(None, is_killed=True)

        return await asyncio.gather(*(call(case, user) for case, user in calls))


class Data:
    """The data of a stream's events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        *events, self._rest = (self._rest + chunk).split(b"\n\n")
        lines = [line for event in events for line in event.split(b"\n")]
        return [line[6:].decode() for line in lines if line.startswith(b"data: ")]


def _is_finish(event: dict[str, Any]) -> bool:
    choices = event.get("choices") or []
    delta = event.get("delta")
    stop = delta.get("stop_reason") if isinstance(delta, dict) else None
    return any(choice["finish_reason"] for choice in choices) or bool(stop)


def fragments(answer: Answer, limit: int) -> list[Fragment]:
    """One for each step between the opening and the finish."""
    return list(Plan(answer, limit, 1, 0).whole())


class Bill:
    """What a case may be charged, given what its client saw and its provider did."""

    def __init__(self, case: Case, outcome: Outcome, call: Call | None) -> None:
        self._case, self._outcome, self._call = case, outcome, call
        self._weight, self._may_reason = ENDPOINTS[case.charging]
        self._spoken = case.spoken if case.before is None else "openai"
        # Of a response the last event is all of its last step.
        self._lacks_a_step = self._spoken == "responses" and case.answer.without_done
        # Names come in events that hold what else is told in others, too, and are not counted.
        self._has_names_apart = self._spoken == "responses" and case.stream
        body = case.body if call is None else call.body
        spoken = case.asked if call is None else self._spoken
        assert body[LIMITS.get(spoken, "max_tokens")] == case.limit
        self._plan = Plan(case.answer, case.limit, 1, count_of_the_double(body))
        self._endless = self._plan.endless and case.stream
        answer, plan = case.answer, self._plan
        made = islice(plan.fragments(), call.steps) if self._endless and call else plan.whole()
        self._sizes = [*accumulate(map(self._size, made), initial=0)]
        """Bytes of the text, by the number of its steps."""
        self._all = ENDLESS if self._endless else len(self._sizes) + 2
        self._reports = answer.usage != "absent" and answer.malformed is None

    def check(self, charged: int, is_estimate: bool) -> None:
        case, call = self._case, self._call
        if not case.stream and case.answer.cut_at:
            # Half a reply, by its size: how much of it has come is not known.
            least = self._weight * case.prompt
            assert not charged or least < charged <= case.held, f"{charged}: {case}"
            return
        first, last = self._seen()
        allowed = {self._cost(seen) for seen in range(first, last + 1)}
        if self._may_be_free():
            allowed.add(0)
        context = f"{charged} is none of {sorted(allowed)}: {case} {self._outcome} {call}"
        assert charged in allowed, context
        if not charged or call is None:
            return
        if not is_estimate:
            assert charged == self._weight * call.used, context
            return
        assert charged >= LEAST_SHARE * self._weight * self._used(first), context
        if charged != case.held:
            used = max(call.used, self._plan.input_tokens)
            assert charged <= LARGEST_SHARE * self._weight * used, context

    def _seen(self) -> tuple[int, int]:
        """The fewest and the most steps that the gateway can have seen; none: the empty range."""
        case, outcome, call = self._case, self._outcome, self._call
        if outcome.status not in (200, None):
            return 0, -1
        if not case.stream:
            is_read = call is not None and call.finished
            return (self._all, self._all) if is_read else (0, -1)
        if call is None:
            return 0, 0
        if outcome.end == "complete":
            return self._all, self._all
        if outcome.status is None:
            return 0, call.steps
        if outcome.has_finish and not outcome.end:
            # The gateway reads on, for what the provider has still to say.
            stops = case.leaves == "after the finish" and not case.releases
            least = self._all - stops
            return least, least
        # They are of one byte a character.
        pieces = sum(size <= len(outcome.text) for size in self._sizes[1:])
        if self._endless:
            return 1 + pieces, 1 + pieces
        is_lossless = outcome.end == "error" and case.answer.cut_at is None
        most = call.steps - self._lacks_a_step
        return (most if is_lossless else 1 + pieces), most

    def _may_be_free(self) -> bool:
        """A refusal and what never got to the provider cost nothing."""
        case, call = self._case, self._call
        if self._outcome.status is not None:
            return self._outcome.status != 200
        fails = case.answer.error_at == 0 or (not case.stream and case.answer.cut_at is not None)
        return call is None or call.used == 0 or fails

    def _cost(self, seen: int) -> int:
        """Of a call that ends when the gateway has seen so many steps."""
        plan, answer = self._plan, self._case.answer
        in_finish = self._spoken == "anthropic" or answer.usage == "with_choices"
        if self._reports and seen >= self._all - (in_finish or not self._case.stream):
            return self._weight * (plan.input_tokens + plan.output)
        size = self._sizes[min(max(seen - 1, 0), len(self._sizes) - 1)]
        prompt, output = self._case.prompt, -(-size // 4)
        if self._reports and self._spoken == "anthropic" and seen:
            prompt, output = plan.input_tokens, max(output, min(1, plan.output))
        cost = self._weight * (prompt + output)
        walked_away = seen < self._all and self._may_reason
        return max(cost, self._case.held) if walked_away else cost

    def _size(self, fragment: Fragment) -> int:
        if fragment.tool is None:
            return len(fragment.text.encode())
        is_told = fragment.begins and not self._has_names_apart
        name = self._case.answer.tools[fragment.tool].name if is_told else ""
        return len((name + fragment.text).encode())

    def _used(self, seen: int) -> int:
        """By then; the reasoning of a call that came to its end without usage is not known."""
        plan = self._plan
        generated = plan.generated(seen - 1) if seen else 0
        return plan.input_tokens + generated - (plan.reasoning if seen >= self._all else 0)


class Books:
    """A user's ledger, checked entry by entry."""

    def __init__(self, user: User, tokens: int) -> None:
        self._user, self._tokens = user, tokens
        entries = user.api.get("/ledger?limit=200", user.headers).json()["entries"]
        self._entries: list[dict[str, Any]] = entries
        self.balance = user.balance()
        assert len(entries) < 200, "older entries are lost"

    def check(self, cases: Iterable[tuple[Case, Outcome, Call | None]]) -> None:
        """Each call was held and settled once at most, and nothing else took tokens."""
        used, killed = 0, 0
        for case, outcome, call in cases:
            if outcome.is_killed:
                killed += self._check_killed(case)
                continue
            charged, entry = self._charged(case, outcome, call)
            used += charged
            if outcome.charged is not None:
                assert outcome.charged == charged, case
            Bill(case, outcome, call).check(charged, bool(entry.get("estimated")))
        ops = Counter(entry["op"] for entry in self._entries)
        assert set(ops) <= {"grant", "group", "hold", "settle", "release", "expire"}, ops
        assert sum(one["tokens"] for one in self._entries if one["op"] == "expire") == killed
        assert (self.balance["tokensHeld"], self.balance["tokensUsed"]) == (0, used)
        assert self.balance["tokensLeft"] == self._tokens - used

    def _check_killed(self, case: Case) -> int:
        """What was held, and must have gone back."""
        (hold,) = (one for one in self._entries if one["ref"].get("requestId") == case.key)
        assert (hold["op"], hold["tokens"]) == ("hold", -case.held), case
        return case.held

    def _charged(
        self, case: Case, outcome: Outcome, call: Call | None
    ) -> tuple[int, dict[str, Any]]:
        """What it took, and what the ledger says of its settle."""
        mine = [one for one in self._entries if one["ref"].get("requestId") == case.key]
        ops = [one["op"] for one in mine]
        if not mine:
            assert outcome.status is None, f"not held: {case}"
            assert call is None, f"not held: {case}"
            return 0, {}
        settle, hold = mine
        assert ops in (["settle", "hold"], ["release", "hold"]), f"{ops}: {case}"
        assert hold["tokens"] == -case.held, case
        charged = -hold["tokens"] - settle["tokens"]
        assert (charged == 0) == (settle["op"] == "release"), case
        if charged:
            assert settle["ref"]["endpoint"] == case.charging, case
        return charged, settle["ref"]
