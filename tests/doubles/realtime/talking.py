"""A session on its way: what the double does with each message of its client."""

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.doubles.realtime.conversation import Conversation, checked
from tests.doubles.realtime.listening import Listening
from tests.doubles.realtime.record import Session
from tests.doubles.realtime.responding import Responding
from tests.doubles.realtime.service import Service, Turn
from tests.doubles.realtime.settings import Invalid, Settings, updated, usual
from tests.doubles.realtime.wire import Wire

Event = dict[str, Any]


class Talking:
    def __init__(
        self,
        connection: ServerConnection,
        service: Service,
        record: Session,
        released: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._service = service
        self._record = record
        self.wire = Wire(connection, record)
        self._settings = usual(record.key, service.session)
        self._conversation = Conversation()
        common = (self.wire, service, self._conversation, record)
        self._responding = Responding(*common, released)
        self._listening = Listening(*common, self._began, self._ended)

    async def run(self) -> None:
        """Until the connection is closed."""
        try:
            if await self._open():
                async for message in self._connection:
                    await self._hear(message)
        except ConnectionClosed:
            pass
        finally:
            await self._responding.stop()
            await self._listening.stop()
            received = self._connection.protocol.close_rcvd
            self._record.code = received.code if received else 1006
            self._record.reason = received.reason if received else ""
            self._record.ended = True

    def begin(self, turn: Turn | None) -> None:
        """A response that nobody asked for."""
        self._responding.begin(self._settings, turn=turn)

    @property
    def _input(self) -> Settings:
        settings: Settings = self._settings["audio"]["input"]
        return settings

    async def _open(self) -> bool:
        """False: it is over at once."""
        service = self._service
        await asyncio.sleep(service.created_delay)
        if service.refusal is not None:
            await self.wire.end(service.refusal)
            return False
        if service.opening is not None:
            await self.wire.send_raw(service.opening)
        elif not service.silent:
            await self.wire.send("session.created", session=self._settings)
        return True

    async def _hear(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
            kind = event["type"]
        except (ValueError, TypeError, KeyError):
            self._record.texts.append(str(message))
            await self._refuse(Invalid("invalid_json", "This is no event."), None)
            return
        if kind != "input_audio_buffer.append":
            self._record.texts.append(str(message))
            self._record.events.append(event)
        try:
            do = self._HANDLERS.get(kind)
            if do is None:
                raise Invalid("invalid_value", f"Invalid value: '{kind}'.", "type")
            await do(self, event)
        except Invalid as invalid:
            await self._refuse(invalid, event.get("event_id"))

    async def _refuse(self, invalid: Invalid, event_id: object) -> None:
        error = {"type": "invalid_request_error", "code": invalid.code, "message": invalid.message}
        await self.wire.send("error", error={**error, "param": invalid.param, "event_id": event_id})

    async def _update(self, event: Event) -> None:
        spoke = bool(self._record.responses)
        self._settings = updated(self._settings, event.get("session") or {}, spoke)
        await self.wire.send("session.updated", session=self._settings)

    async def _append(self, event: Event) -> None:
        try:
            audio = base64.b64decode(event.get("audio", ""), validate=True)
        except (binascii.Error, TypeError):
            raise Invalid("invalid_value", "The audio is not base64.", "audio") from None
        self._record.appends += 1
        self._record.audio_bytes += len(audio)
        await self._listening.append(audio, self._input)

    async def _commit(self, _: Event) -> None:
        await self._listening.commit(self._input)

    async def _clear(self, _: Event) -> None:
        self._listening.clear()
        await self.wire.send("input_audio_buffer.cleared")

    def _began(self) -> None:
        if self._input["turn_detection"].get("interrupt_response"):
            self._responding.interrupt()

    def _ended(self) -> None:
        wanted = self._input["turn_detection"].get("create_response")
        if wanted and not self._responding.is_busy:
            self._responding.begin(self._settings)

    async def _add_item(self, event: Event) -> None:
        item = checked(event.get("item"))
        tokens = self._conversation.tokens_of(item, self._input["format"]["type"])
        previous = self._conversation.add(item, tokens, event.get("previous_item_id"))
        for state in ("added", "done"):
            name = f"conversation.item.{state}"
            await self.wire.send(name, previous_item_id=previous, item=item)

    async def _delete_item(self, event: Event) -> None:
        self._conversation.remove(event.get("item_id"))
        await self.wire.send("conversation.item.deleted", item_id=event["item_id"])

    async def _retrieve_item(self, event: Event) -> None:
        item = self._conversation.find(event.get("item_id"))
        await self.wire.send("conversation.item.retrieved", item=item)

    async def _truncate_item(self, event: Event) -> None:
        self._conversation.truncate(event.get("item_id"), event["audio_end_ms"])
        named = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        await self.wire.send("conversation.item.truncated", **named)

    async def _create(self, event: Event) -> None:
        self._responding.create(event, self._settings)

    async def _cancel(self, event: Event) -> None:
        self._responding.cancel(event.get("response_id"))

    _HANDLERS: dict[str, Callable[["Talking", Event], Awaitable[None]]] = {  # noqa: RUF012
        "session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.create": _add_item,
        "conversation.item.delete": _delete_item,
        "conversation.item.retrieve": _retrieve_item,
        "conversation.item.truncate": _truncate_item,
        "response.create": _create,
        "response.cancel": _cancel,
    }
