"""The responses of a session that run, and those to come."""

import asyncio
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.doubles.realtime.conversation import Conversation, new_id, of_settings
from tests.doubles.realtime.record import Response, Session
from tests.doubles.realtime.service import Service, Turn
from tests.doubles.realtime.settings import Invalid, Settings, check_limit, limit_of
from tests.doubles.realtime.speaking import Speaking
from tests.doubles.realtime.wire import Wire


class Responding:
    def __init__(
        self,
        wire: Wire,
        service: Service,
        conversation: Conversation,
        record: Session,
        released: asyncio.Event,
    ) -> None:
        self._wire = wire
        self._turns = list(service.turns)
        self._conversation = conversation
        self._record = record
        self._released = released
        self._running: dict[str, Speaking] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """One of the default conversation runs."""
        return any(speaking.is_default for speaking in self._running.values())

    def create(self, event: dict[str, Any], settings: Settings) -> None:
        """Raises Invalid."""
        asked = event.get("response") or {}
        check_limit(asked.get("max_output_tokens"))
        if asked.get("conversation") != "none" and self.is_busy:
            message = "Conversation already has an active response in progress."
            raise Invalid("conversation_already_has_active_response", message)
        self.begin(settings, event)

    def begin(
        self, settings: Settings, event: dict[str, Any] | None = None, turn: Turn | None = None
    ) -> None:
        """The next of the turns, unless there is one; without an event nobody asked for it."""
        asked: Settings = (event or {}).get("response") or {}
        limit = limit_of(settings, asked)
        settings = _with(settings, asked)
        if turn is None:
            turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        record = Response(new_id("resp"), event, limit)
        counted = turn.input_tokens
        record.input = self._input(settings) if counted is None else counted
        self._record.responses.append(record)
        speaking = Speaking(self._wire.send, self._conversation, turn, settings, record)
        self._running[record.response_id] = speaking
        task = asyncio.create_task(self._speak(speaking, turn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, response_id: object) -> None:
        """None: that of the default conversation. Raises Invalid."""
        found = [
            speaking
            for each, speaking in self._running.items()
            if each == response_id or (response_id is None and speaking.is_default)
        ]
        if not found:
            message = "Cancellation failed: no active response found"
            raise Invalid("response_cancel_not_active", message)
        for speaking in found:
            speaking.cancel("client_cancelled")

    def interrupt(self) -> None:
        """The client speaks."""
        for speaking in self._running.values():
            if speaking.is_default:
                speaking.cancel("turn_detected")

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _input(self, settings: Settings) -> int:
        tokens = of_settings(settings)
        if settings.get("input") is None:
            return tokens + self._conversation.tokens()
        kind = settings["audio"]["input"]["format"]["type"]
        given = settings["input"]
        return tokens + sum(self._conversation.tokens_of(item, kind) for item in given)

    async def _speak(self, speaking: Speaking, turn: Turn) -> None:
        def step(number: int | None) -> int | None:
            counts_back = number is not None and number < 0
            return speaking.last_step + 1 + (number or 0) if counts_back else number

        try:
            async for number in speaking.run():
                if number == step(turn.stop_at):
                    await speaking.wait(self._released)
                if number == step(turn.cut_at):
                    self._wire.reset()
                    return
                if number == step(turn.end_at):
                    await self._wire.end(turn.end)
                    return
        except ConnectionClosed:
            pass
        finally:
            self._running.pop(speaking.record.response_id, None)


def _with(settings: Settings, asked: Settings) -> Settings:
    output = settings["audio"]["output"] | ((asked.get("audio") or {}).get("output") or {})
    return {**settings, **asked, "audio": {**settings["audio"], "output": output}}
