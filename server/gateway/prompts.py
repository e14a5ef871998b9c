"""Server prompts: what a client asks for by a name and by values, without having the text.

Of a client's body nothing else counts: what would change the answer is refused by name. Values
stand where the tenant has put them, as text; what looks like a placeholder, a message or a role in
them is nothing of that.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from server.errors import NoModel, Unsupported
from server.gateway.endpoints import Model, Target, find_targets
from server.providers.ask import PROMPT, Ask
from server.providers.members import fault, typed
from server.providers.reading import string
from server.providers.wire import Wire
from server.tenants.config import TenantConfig
from server.tenants.endpoints import TextEndpoints
from server.tenants.policies import Policy
from server.tenants.prompts import PLACEHOLDER, Prompt

_READ = frozenset(
    {
        *("metadata", "model", "stream", "stream_options", "variables"),
        # What SDKs must say, or say of themselves; nothing comes of it.
        *("safety_identifier", "user"),
    }
)
_READ_OF: dict[str, frozenset[str]] = {
    "messages": _READ | {"max_completion_tokens", "max_tokens", "messages"},
    "input": _READ | {"input", "max_output_tokens", "store"},
}
"""By the member that has the turns."""
_TEXTS = {"messages": ("text",), "input": ("input_text", "output_text")}
_OF_AN_ANSWER = {"messages": (), "input": ("id", "phase", "status", "type")}
"""What an answer has that a client sends back, besides its text."""
_ROLES = ("assistant", "user")
_LONGEST_NAME = 64
_NOT_OFFERED = "The prompt {!r} is not offered here"
_OWNER = "prompts"
"""What the list of models says instead of an endpoint."""
# A prompt can have all the messages that there must be.
_ANY = [None]
BYTES_IN_MEMORY = 3
"""For each of a filled prompt: its text, and what is made of that to be sent."""

NO_HEADERS: Mapping[str, str] = {}
"""That a client's can ask for betas and versions is not for a prompt."""

Message = dict[str, Any]


class Filled(NamedTuple):
    """A chat completion to ask for, whatever the client's protocol, and whom."""

    body: dict[str, Any]
    ask: Ask
    targets: list[Target]


def fill(config: TenantConfig, body: dict[str, Any], client: Wire) -> Filled | None:
    """None if it does not ask for a prompt. Raises NoModel, Unsupported naming what is wrong with
    the client's body; that tells nothing of the prompt's text."""
    model, text = string(body.get("model")), config.providers.text
    if not model.startswith(PROMPT) or (text is not None and text.find(model) is not None):
        return None
    name = model[len(PROMPT) :]
    prompt = config.prompts.get(name)
    if prompt is None:
        raise NoModel(_NOT_OFFERED.format(name[:_LONGEST_NAME]))
    asked = client.ask({**body, client.turns: _ANY})
    for other in body:
        if other not in _READ_OF[client.turns] and body[other] is not None:
            raise fault(other[:_LONGEST_NAME], "cannot be set for a prompt")
    limit, stream, include_usage = prompt.max_output, asked.stream, asked.include_usage
    ask = Ask(model, limit, 1, stream, include_usage, 0, 0, name)
    return Filled(_filled(prompt, body, client.turns), ask, _targets(text, prompt.model, name))


def _targets(text: TextEndpoints | None, model: str, name: str) -> list[Target]:
    """Raises NoModel, which does not tell the model."""
    try:
        return find_targets(text, model, "chat")
    except (NoModel, Unsupported):
        raise NoModel(_NOT_OFFERED.format(name)) from None


def _filled(prompt: Prompt, body: dict[str, Any], turns: str) -> dict[str, Any]:
    """Raises Unsupported."""
    values = _values(prompt, body)
    messages = [_said(turn.role, _put(turn.content, values)) for turn in prompt.messages]
    messages += _own_messages(prompt, body.get(turns), turns)
    if not messages:
        raise Unsupported(turns, f"{turns} must be a list with at least one message")
    if prompt.system is not None:
        messages.insert(0, _said("system", _put(prompt.system, values)))
    return prompt.request(messages)


def find_prompts(config: TenantConfig, policy: Policy) -> Iterator[Model]:
    """Those that users of this policy may ask for, and what their models cost."""
    text = config.providers.text
    if text is None or not policy.has_text:
        return
    for name, prompt in config.prompts.items():
        shown, found = f"{PROMPT}{name}", text.find(prompt.model)
        if found is None or text.find(shown) is not None:
            continue
        if policy.may_use(*found) or policy.may_fill(name):
            endpoint, model = found
            yield Model(shown, _OWNER, text.endpoints[endpoint].weights(model))


def _values(prompt: Prompt, body: dict[str, Any]) -> dict[str, str]:
    """Those of the variables, all of them and as they must be. Raises Unsupported."""
    member = "variables" if body.get("metadata") is None else "metadata"
    if member == "metadata" and body.get("variables") is not None:
        raise fault("variables", "and metadata cannot both be given")
    given = body.get(member)
    values = typed({} if given is None else given, dict, member)
    for name in values:
        if name not in prompt.variables:
            raise fault(f"{member}.{name[:_LONGEST_NAME]}", "is no variable of this prompt")
    for name, variable in prompt.variables.items():
        path = f"{member}.{name}"
        if name not in values:
            raise fault(path, "is missing")
        if wrong := variable.fault_of(values[name]):
            raise fault(path, wrong)
    return values


def _put(text: str, values: Mapping[str, str]) -> str:
    """In one go: what a value has in it is not looked at again."""
    return PLACEHOLDER.sub(lambda found: values[found[1]], text) if values else text


def _own_messages(prompt: Prompt, given: Any, turns: str) -> list[Message]:
    """The client's. Raises Unsupported."""
    if turns == "input" and isinstance(given, str):
        given = [_said("user", given)] if given else []
    messages = typed([] if given is None else given, list, turns)
    if messages and not prompt.chat:
        raise Unsupported(turns, "This prompt takes no messages of the user")
    return [_own(one, f"{turns}.{number}", turns) for number, one in enumerate(messages)]


def _own(message: Any, path: str, turns: str) -> Message:
    """With nothing but its role and its text."""
    found = typed(message, dict, path)
    for name, value in found.items():
        # What SDKs have in an answer that a client sends back.
        is_known = name in ("content", "role") or name in _OF_AN_ANSWER[turns]
        if not is_known and value not in (None, []):
            raise fault(f"{path}.{name[:_LONGEST_NAME]}", "cannot be set for a prompt")
    role = found.get("role")
    if role not in _ROLES:
        raise fault(f"{path}.role", "must be user or assistant")
    if found.get("type", "message") != "message":  # a call of a tool, or its result
        raise fault(f"{path}.type", "can only be message for a prompt")
    return _said(role, _text(found.get("content"), f"{path}.content", _TEXTS[turns]))


def _text(content: Any, path: str, kinds: tuple[str, ...]) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for number, part in enumerate(typed(content, list, path)):
        here = f"{path}.{number}"
        found = typed(part, dict, here)
        if found.get("type") not in kinds:
            raise fault(f"{here}.type", f"can only be {kinds[0]} for a prompt")
        for name, value in found.items():
            if name not in ("text", "type") and value not in (None, []):
                raise fault(f"{here}.{name[:_LONGEST_NAME]}", "cannot be set for a prompt")
        texts.append(typed(found.get("text"), str, f"{here}.text"))
    return "".join(texts)


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}
