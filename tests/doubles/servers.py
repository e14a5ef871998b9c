"""Servers of OpenAI's protocol, each with what is reported of it: what it refuses, what it sends
otherwise. docs/providers.md has their configs.

Sources: their API references, and issues of clients that met them (LiteLLM, LangChain, AI SDK).
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from tests.doubles import openai_wire
from tests.doubles.answer import Answer
from tests.doubles.call import Call, Script
from tests.doubles.in_thread import AppInThread
from tests.doubles.plan import Plan
from tests.doubles.prompt import estimate, key_of
from tests.doubles.quirks import Quirk, Sent, apply, everywhere, usage_in
from tests.doubles.sending import Sending
from tests.doubles.wire import Wire, dumps

_USUAL = frozenset(
    {
        *("max_tokens", "messages", "model", "response_format", "stop", "stream", "temperature"),
        *("tool_choice", "tools", "top_p", "n", "parallel_tool_calls"),
    }
)
_WITH_OPTIONS = _USUAL | {"stream_options"}


@dataclass(frozen=True)
class Server:
    """`members` are those that it knows, None for any; it refuses others with `status` in the shape
    that `refusal` makes of the path. `comment` comes before each step of a stream, `blanks` before
    a whole reply, `first` and `last` are chunks of its own. `kept`: members of an earlier answer
    that it takes back."""

    path: str
    members: frozenset[str] | None = None
    status: int = 400
    refusal: Callable[[list[str]], Any] = lambda path: {"error": {"message": f"No {path[-1]}"}}
    kept: frozenset[str] | None = None
    quirks: tuple[Quirk, ...] = ()
    comment: bytes = b""
    blanks: bytes = b""
    first: Sent | None = None
    last: Sent | None = None
    usage: Any = "reported"
    credential: str = "authorization"
    """The header that says who asks, "" if none must."""
    query: str = ""

    def fault(self, body: dict[str, Any]) -> list[str]:
        """The path of the first member that it does not know."""
        for name in body:
            if self.members is not None and name not in self.members:
                return [name]
        for number, message in enumerate(body["messages"]):
            if message["role"] == "assistant" and self.kept is not None:
                for name in message.keys() - {"role", "content", "tool_calls"} - self.kept:
                    return ["messages", str(number), name]
        return []


def _choices(change: Callable[[Sent], None]) -> Quirk:
    """Each choice, changed."""

    def quirk(sent: Sent) -> list[Sent]:
        sent = deepcopy(sent)
        for choice in sent.get("choices") or []:
            change(choice)
        return [sent]

    return quirk


def _calls(choice: Sent) -> list[Sent]:
    said: Sent = choice.get("delta") or choice.get("message") or {}
    calls: list[Sent] = said.get("tool_calls") or []
    return calls


def _gemini(choice: Sent) -> None:
    for call in _calls(choice):
        if call.get("id"):
            call["extra_content"] = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
    if choice.get("finish_reason") == "tool_calls":
        choice["finish_reason"] = "stop"


def _without_reasoning(sent: Sent) -> list[Sent]:
    """What was reasoned is in the total alone."""
    if not sent.get("usage"):
        return [sent]
    usage = dict(sent["usage"])
    reasoned = usage.pop("completion_tokens_details")["reasoning_tokens"]
    usage.pop("prompt_tokens_details")
    usage["completion_tokens"] -= reasoned
    return [{**sent, "usage": usage}]


def _mistral(choice: Sent) -> None:
    for call in _calls(choice):
        if call.get("id"):
            call["id"] = re.sub("[^a-zA-Z0-9]", "", call["id"])[-9:].rjust(9, "D")


def _deepseek(sent: Sent) -> list[Sent]:
    if not sent.get("usage"):
        return [sent]
    usage = dict(sent["usage"])
    read = usage.pop("prompt_tokens_details")["cached_tokens"]
    usage["prompt_cache_hit_tokens"] = read
    usage["prompt_cache_miss_tokens"] = usage["prompt_tokens"] - read
    return [{**sent, "usage": usage}]


def _openrouter(choice: Sent) -> None:
    choice["native_finish_reason"] = choice["finish_reason"]


def _vllm(choice: Sent) -> None:
    choice["stop_reason"] = None


def _ollama(choice: Sent) -> None:
    choice["finish_reason"] = choice["finish_reason"] or ""
    for call in _calls(choice):
        call["index"] = 0


def _azure(choice: Sent) -> None:
    choice["content_filter_results"] = {"hate": {"filtered": False, "severity": "safe"}}


_OF_AZURE: Sent = {"id": "", "object": "", "created": 0, "model": ""}
_FILTERED = {"hate": {"filtered": False, "severity": "safe"}}

SERVERS: dict[str, Server] = {
    "Gemini": Server(
        "/v1beta/openai/chat/completions",
        _WITH_OPTIONS | {"reasoning_effort"},
        refusal=lambda path: [
            {
                "error": {
                    "code": 400,
                    "message": f'Invalid JSON payload received. Unknown name "{path[-1]}"',
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        quirks=(_choices(_gemini), _without_reasoning),
    ),
    "Mistral": Server(
        "/v1/chat/completions",
        _USUAL | {"safe_prompt", "random_seed"},
        422,
        lambda path: {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", *path],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
        kept=frozenset(),
        quirks=(_choices(_mistral),),
        usage="with_choices",
    ),
    "Groq": Server(
        "/openai/v1/chat/completions",
        _WITH_OPTIONS | {"user", "reasoning_effort", "max_completion_tokens"},
        refusal=lambda path: {
            "error": {
                "message": f"property '{path[-1]}' is unsupported",
                "type": "invalid_request_error",
            }
        },
        kept=frozenset({"reasoning"}),
        quirks=(usage_in("x_groq"),),
    ),
    "DeepSeek": Server(
        "/chat/completions",
        quirks=(_deepseek,),
        comment=b": keep-alive\n\n",
        blanks=b"\n\n\n\n",
    ),
    "OpenRouter": Server(
        "/api/v1/chat/completions",
        quirks=(_choices(_openrouter), everywhere(provider="OpenAI")),
        comment=b": OPENROUTER PROCESSING\n\n",
    ),
    "vLLM": Server(
        "/v1/chat/completions",
        refusal=lambda path: {"object": "error", "message": f"No {path[-1]}", "code": 400},
        quirks=(_choices(_vllm), everywhere(prompt_logprobs=None, kv_transfer_params=None)),
    ),
    "Ollama": Server(
        "/v1/chat/completions",
        quirks=(_choices(_ollama), everywhere(system_fingerprint="fp_ollama")),
        credential="",
    ),
    "Azure OpenAI": Server(
        "/openai/deployments/my-gpt-4o/chat/completions",
        _WITH_OPTIONS - {"max_tokens"} | {"user", "max_completion_tokens"},
        refusal=lambda path: {
            "error": {
                "message": f"Unrecognized request argument supplied: {path[-1]}",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
        quirks=(_choices(_azure),),
        first={
            **_OF_AZURE,
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERED}],
        },
        last={
            **_OF_AZURE,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": None,
                    "content_filter_results": _FILTERED,
                    "content_filter_offsets": {"check_offset": 44, "start_offset": 44},
                }
            ],
        },
        credential="api-key",
        query="api-version=2024-10-21",
    ),
}


class _ServersWire:
    """OpenAI's, with what a server sends beside it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(openai_wire, name)

    def steps(self, reply_id: str, body: dict[str, Any], plan: Plan) -> Iterator[bytes]:
        server = self._server
        before = server.comment + (_event(server.first) if server.first else b"")
        for step in openai_wire.steps(reply_id, body, plan):
            is_finish = b'"finish_reason":"' in step
            yield before + step + (_event(server.last) if server.last and is_finish else b"")
            before = server.comment


def _event(sent: Sent) -> bytes:
    return b"data: " + dumps(sent) + b"\n\n"


class ServerDouble(AppInThread):
    """One of SERVERS; as Double."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._wire: Wire = _ServersWire(server)
        self._script = Script(Answer())

    def make_app(self) -> web.Application:
        app = web.Application()
        app.router.add_post(self._server.path, self._handle)
        return app

    def script(self, key: str, *answers: Answer) -> None:
        self._script.put(key, answers)

    def calls(self, key: str | None = None) -> list[Call]:
        return self._script.calls(key)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        server, body = self._server, await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(key_of(body), "openai", request.path, headers, body, request.query_string)
        number, answer = self._script.record(call)
        try:
            return await self._answer(request, server, call, number, answer)
        except (asyncio.CancelledError, ConnectionError):
            call.peer_gone = True
            raise
        finally:
            call.ended = True

    async def _answer(
        self, request: web.Request, server: Server, call: Call, number: int, answer: Answer
    ) -> web.StreamResponse:
        is_unknown = bool(server.credential) and server.credential not in call.headers
        if is_unknown or call.query != server.query:
            return web.json_response({"error": {"message": "Access denied"}}, status=401)
        if path := server.fault(call.body):
            return web.json_response(server.refusal(path), status=server.status)
        if answer.status != 200:
            return web.json_response(server.refusal(["prompt"]), status=answer.status)
        answer = replace(answer, usage=server.usage, quirks=(*server.quirks, *answer.quirks))
        limit, tokens = openai_wire.limit_of(call.body), answer.input_tokens
        plan = Plan(answer, limit, 1, estimate(call.body) if tokens is None else tokens)
        if server.blanks and not call.body.get("stream"):
            (reply,) = apply(answer.quirks, openai_wire.reply(str(number), call.body, plan))
            plan.answer = replace(answer, raw_body=server.blanks + dumps(reply))
        return await Sending(request, self._wire, self._script, call, plan, number).send()
