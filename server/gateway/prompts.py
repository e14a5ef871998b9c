"""Server prompts: what a client asks for by a name and by values, without having the text.

Of a client's body nothing else counts: what would change the answer is refused by name, what SDKs
must say, or say of themselves, is not read. Values stand where the tenant has put them, as text;
what looks like a placeholder, a message or a role in them is nothing of that.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from server.errors import NoModel, Unsupported
from server.gateway.endpoints import Model
from server.providers.ask import PROMPT, Ask, require_messages
from server.providers.members import fault, typed
from server.tenants.config import TenantConfig
from server.tenants.policies import Policy
from server.tenants.prompts import PLACEHOLDER, Prompt

_READ = frozenset({"messages", "metadata", "model", "stream", "stream_options", "variables"})
_NOT_READ = frozenset({"max_completion_tokens", "max_tokens", "safety_identifier", "user"})
_ROLES = ("assistant", "user")
_LONGEST_NAME = 64
_OWNER = "prompts"
"""What the list of models says instead of an endpoint."""
BYTES_IN_MEMORY = 3
"""For each of a filled prompt: its text, and what is made of that to be sent."""

NO_HEADERS: Mapping[str, str] = {}
"""That a client's can ask for betas and versions is not for a prompt."""

Message = dict[str, Any]


class Filled(NamedTuple):
    """A chat completion to ask for, whatever the client's protocol, and the model to ask."""

    body: dict[str, Any]
    ask: Ask
    model: str


def fill(config: TenantConfig, body: dict[str, Any], ask: Ask) -> Filled | None:
    """None if it is an endpoint's model that is called like a prompt. Raises NoModel, Unsupported
    naming what is wrong with the client's body; its text tells nothing of the prompt's."""
    name, text = ask.model[len(PROMPT) :], config.providers.text
    prompt = config.prompts.get(name)
    if prompt is None:
        if text is None or text.find(ask.model) is None:
            raise NoModel(f"The prompt {name[:100]!r} is not offered here")
        require_messages(body)
        return None
    for other in body.keys() - _READ - _NOT_READ:
        if body[other] is not None:
            raise fault(other[:_LONGEST_NAME], "cannot be set for a prompt")
    values = _values(prompt, body)
    own = _own_messages(prompt, body.get("messages"))
    messages = [_said(turn.role, _put(turn.content, values)) for turn in prompt.messages] + own
    if not messages:
        require_messages(body)
    if prompt.system is not None:
        messages.insert(0, _said("system", _put(prompt.system, values)))
    filled: dict[str, Any] = {"messages": messages}
    if prompt.tools is not None:
        filled["tools"] = prompt.tools
    if prompt.response_format is not None:
        filled["response_format"] = prompt.response_format
    limit, stream, include_usage = prompt.max_output, ask.stream, ask.include_usage
    asked = Ask(ask.model, limit, 1, stream, include_usage, 0, 0, name)
    return Filled(filled, asked, prompt.model)


def find_prompts(config: TenantConfig, policy: Policy) -> Iterator[Model]:
    """Those that users of this policy may ask for, and what their models cost."""
    text = config.providers.text
    if text is None or not policy.has_text:
        return
    for name, prompt in config.prompts.items():
        found = text.find(prompt.model)
        if found is not None and (policy.may_use(*found) or policy.may_fill(name)):
            endpoint, model = found
            yield Model(f"{PROMPT}{name}", _OWNER, text.endpoints[endpoint].weights(model))


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


def _own_messages(prompt: Prompt, given: Any) -> list[Message]:
    """The client's. Raises Unsupported."""
    messages = typed([] if given is None else given, list, "messages")
    if messages and not prompt.chat:
        raise Unsupported("messages", "This prompt takes no messages of the user")
    return [_own(message, f"messages.{number}") for number, message in enumerate(messages)]


def _own(message: Any, path: str) -> Message:
    """With nothing but its role and its text."""
    found = typed(message, dict, path)
    for name, value in found.items():
        # What SDKs have in an answer that a client sends back.
        if name not in ("content", "role") and value not in (None, []):
            raise fault(f"{path}.{name[:_LONGEST_NAME]}", "cannot be set for a prompt")
    role = found.get("role")
    if role not in _ROLES:
        raise fault(f"{path}.role", "must be user or assistant")
    return _said(role, _text(found.get("content"), f"{path}.content"))


def _text(content: Any, path: str) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for number, part in enumerate(typed(content, list, path)):
        here = f"{path}.{number}"
        found = typed(part, dict, here)
        if found.get("type") != "text":
            raise fault(f"{here}.type", "can only be text for a prompt")
        for name, value in found.items():
            if name not in ("text", "type") and value not in (None, []):
                raise fault(f"{here}.{name[:_LONGEST_NAME]}", "cannot be set for a prompt")
        texts.append(typed(found.get("text"), str, f"{here}.text"))
    return "".join(texts)


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}
