"""The calls of tools in a streamed chat completion: which of them a delta belongs to.

A delta has an index, an ID, a name and some of the arguments, each of which servers leave out,
repeat or make up. So it is decided by what the last call of its index still lacks:

| the last call of its index | a delta without a name | with the call's name | another name |
| --- | --- | --- | --- |
| none, or one that is stopped | begins one | begins one | begins one |
| has no name yet | belongs to it | names it | names it |
| lacks some of its arguments | belongs to it | belongs to it, but see below | begins one |
| has all its arguments | belongs to it | begins one, but see below | begins one |

- An ID counts beside a name: a name with another ID begins a call, unless its arguments go on amid
  those of the call. Without one it counts if it is that of an earlier call, which lacks arguments:
  some servers send the parts of several calls in turn.
- The name again, with neither another ID nor arguments, is a repetition; arguments that come after
  it, if the call had all of its own, are those of another call of this name.
- A call that never gets a name gives its arguments to the last call before it that lacks some. If
  there is none it is a call of UNNAMED, so that nothing is lost: an app says that it has no such.
"""

import re
from collections.abc import Iterable
from io import StringIO
from sys import getsizeof
from typing import Any

import orjson

from server.providers.bounds import MOST_CALLS_OF_TOOLS, TooLarge
from server.providers.for_messages.blocks import FRAGMENT_BYTES, Block, Delta
from server.providers.for_messages.brackets import Brackets
from server.providers.for_messages.reply import LONGEST_NAME, UNNAMED, function_of, tool_use
from server.providers.for_messages.state import LONGEST_ID, thought_of
from server.providers.reading import small, string
from server.providers.tool_input import ToolInputs

HELD_CHARACTERS = 256
"""Of arguments, until all are here: what proves to be no object can still be made one."""
_LONGEST_INDEX = 20
_SCALAR = re.compile(r"\s*(?:null|true|false|-?\d[\d.eE+-]*)\s*")


class Call(Block):
    """A call of a tool; it can start when its name is known."""

    def __init__(self, origin: str, used: set[str], inputs: ToolInputs, name: str) -> None:
        """`origin`: the endpoint's name; `used`: the IDs of other calls; `inputs`: of all calls;
        `name`: that of the call, if none comes."""
        super().__init__({}, "input_json_delta", "partial_json")
        self._inputs = inputs
        self._name = name
        self.id = ""
        self.lasting = 0
        """About how many bytes of memory it takes besides what is unsent, sent or not."""
        self.is_over = False
        """Another call has begun at its index, and nothing of this one comes any more."""
        self.is_named_again = False
        """After it had all its arguments."""
        self._origin = origin
        self._used = used
        self._brackets = Brackets()
        self._size = 0
        self._begins_with = ""
        self._has_sent = False
        self._thought = ""
        self._text = StringIO()
        """All of its arguments."""
        self._text_bytes = 0

    def take(self, delta: dict[str, Any], name: str, arguments: str) -> None:
        if not self.has_started:
            self._take_beginning(delta, name or self._name)
        if name and self.has_arguments:
            self.is_named_again = True
        if arguments:
            self.add(arguments)

    def _take_beginning(self, delta: dict[str, Any], name: str) -> None:
        known = self.id, self._thought
        self.id, self._thought = self.id or id_of(delta), self._thought or thought_of(delta)
        is_known = known == (self.id, self._thought)
        if (name or self.start) and not (self.start and is_known):
            self.name_it(self.name or name)
        ids = self.id, self._thought, self.name, string(self.start.get("id"))
        self.lasting = self._text_bytes + sum(map(getsizeof, ids))

    def name_it(self, name: str) -> None:
        google = {"thought_signature": self._thought}
        call = {"id": self.id, "extra_content": {"google": google}}
        self._used.discard(string(self.start.get("id")))
        self.start = tool_use(call, name, self._origin, self._used)

    def add(self, text: str) -> None:
        self.unsent.append(text)
        self.kept += getsizeof(text) + FRAGMENT_BYTES
        self._brackets.read(text)
        self._text.write(text)
        size = len(text)
        self._size += size
        taken = size if text.isascii() else 4 * size
        self._text_bytes += taken
        self.lasting += taken
        if not self._begins_with:
            self._begins_with = text.lstrip()[:1]

    @property
    def name(self) -> str:
        return string(self.start.get("name"))

    @property
    def can_start(self) -> bool:
        # Its ID, which cannot be told later, may come with its first arguments.
        return bool(self.start) and (self.id != "" or self._size > 0 or self.is_over)

    @property
    def is_complete(self) -> bool:
        return bool(self.start) and (self.is_over or self.has_arguments)

    @property
    def has_arguments(self) -> bool:
        """All of them."""
        return self._brackets.are_closed or (
            self._size <= HELD_CHARACTERS and bool(_SCALAR.fullmatch("".join(self.unsent)))
        )

    def stop(self) -> bool:
        """Nothing can be added any more. Was it sent as it came, and is no object?"""
        self.is_stopped = True
        text, self._text = self._text.getvalue(), StringIO()
        self.lasting -= self._text_bytes
        self._text_bytes = 0
        return self._has_sent and (self._brackets.has_more or not self._inputs.is_object(text))

    def ready(self) -> Delta | None:
        if not self._has_sent:
            if self._size <= HELD_CHARACTERS or self._begins_with != "{":
                return None
            self._has_sent = True
        return super().ready()

    def last(self) -> Delta | None:
        if self._has_sent or not self.unsent:
            return None
        value = self._inputs.as_object(self.drain())
        return self._with(orjson.dumps(value).decode()) if value else None

    def goes_on_with(self, text: str) -> bool:
        """Is `text` from amid its arguments?"""
        return self._brackets.are_open and text != "" and not text.lstrip().startswith("{")


class Calls:
    """Those of one stream; `origin` is the endpoint's name."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._used: set[str] = set()
        self._inputs = ToolInputs()
        self._begun = 0
        self._last: dict[str, Call] = {}
        """By their index: some servers give all calls one, or none."""
        self._named: dict[tuple[str, str], Call] = {}
        """By their index and the ID that they began with."""

    def find(self, delta: dict[str, Any], name: str, arguments: str) -> tuple[Call, bool]:
        """The call that the delta belongs to, and whether it begins it. Raises TooLarge."""
        key = repr(small(delta.get("index")))[:_LONGEST_INDEX]
        call, call_id = self._last.get(key), ""
        if "id" in delta and (call_id := id_of(delta)):
            earlier = self._named.get((key, call_id))
            is_lacking = earlier is not None and not earlier.has_arguments
            if earlier and is_lacking and _belongs(delta, name, arguments, earlier):
                return earlier, False
        if call is not None and _belongs(delta, name, arguments, call):
            return call, False
        again = call.name if call is not None and call.is_named_again else ""
        if call is not None:
            call.is_over = not (call_id and call.id and call_id != call.id)
        self._begun += 1
        if self._begun > MOST_CALLS_OF_TOOLS:
            raise TooLarge
        begun = self._last[key] = Call(self._origin, self._used, self._inputs, again)
        if call_id:
            self._named[key, call_id] = begun
        return begun, True


def adopt(blocks: Iterable[Block]) -> None:
    """Gives calls without a name, which get none any more, to those that they are of."""
    lacking: Call | None = None
    for block in blocks:
        if not isinstance(block, Call):
            continue
        if block.start:
            lacking = lacking if block.is_complete else block
        elif block.unsent and lacking is not None and not lacking.is_complete:
            for piece in block.unsent:
                lacking.add(piece)
        elif block.unsent:
            block.name_it(UNNAMED)


def id_of(delta: dict[str, Any]) -> str:
    return string(delta.get("id"))[:LONGEST_ID]


def parts_of(delta: dict[str, Any]) -> tuple[str, str]:
    """The name in a delta and the arguments, as text whatever they are; '' for none."""
    function = function_of(delta)
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(arguments, str):
        value = ToolInputs().as_object(arguments)  # of none is anything parsed
        arguments = orjson.dumps(value).decode() if value else ""
    return string(name)[:LONGEST_NAME], arguments


def _belongs(delta: dict[str, Any], name: str, arguments: str, call: Call) -> bool:
    if call.is_stopped or (call.is_named_again and not name):
        return not name and not arguments.strip()
    if not name or not call.start:
        return True
    if name != call.name:
        return False
    call_id = id_of(delta)
    has_another_id = bool(call_id and call.id and call_id != call.id)
    if call.has_arguments:
        return not arguments and not has_another_id
    return not has_another_id or call.goes_on_with(arguments)
