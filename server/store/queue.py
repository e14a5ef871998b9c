"""The commands that wait for the next flush of a pipeline, the oldest first."""

from collections import deque

from server.errors import NotSent
from server.store.command import Command

MOST_COMMANDS = 20_000


class Queue:
    """Bounded; identical GETs in it are one command."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()
        self._gets: dict[str, Command] = {}

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, command: Command) -> None:
        """Raises NotSent if it is full."""
        if len(self._commands) >= MOST_COMMANDS:
            raise NotSent("queue full")
        self._commands.append(command)

    def add_get(self, key: str, command: Command) -> None:
        """A GET of `key`, which others may join until it is taken. Raises NotSent."""
        self.add(command)
        self._gets[key] = command

    def get_of(self, key: str) -> Command | None:
        """The GET of `key` that waits."""
        return self._gets.get(key)

    def add_first(self, command: Command) -> None:
        """To be sent once more, before all others."""
        self._commands.appendleft(command)

    def take(self, most: int, earliest: float, batch: list[Command]) -> None:
        """Moves the next commands into `batch`, so that there are `most` at most, less those whose
        caller has gone, and those with a deadline before `earliest`, which fail."""
        self._gets.clear()
        commands = self._commands
        while commands and len(batch) < most:
            command = commands.popleft()
            if command.deadline < earliest:
                command.fail(NotSent("timed out in the queue"))
            elif command.wanted():
                batch.append(command)

    def fail_overdue(self, latest: float) -> None:
        """Those with a deadline before `latest` get NotSent."""
        while self._commands and self._commands[0].deadline < latest:
            self._commands.popleft().fail(NotSent("timed out in the queue"))
            self._gets.clear()  # one of them may have been it

    def fail(self, reason: str) -> None:
        """All that wait get NotSent."""
        self._gets.clear()
        while self._commands:
            self._commands.popleft().fail(NotSent(reason))
