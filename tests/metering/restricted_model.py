"""The contract's restricted keys in plain Python: what may be held with each, and what it costs."""

from dataclasses import dataclass, field

START = 100


@dataclass
class Key:
    tokens: int
    spent: int = 0
    removed: bool = False


@dataclass
class Account:
    """A user; a hold is its tokens and the number of the key that made it, None for a full one."""

    left: int = START
    used: int = 0
    overrun: int = 0
    keys: list[Key] = field(default_factory=list)
    holds: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def add(self, tokens: int) -> None:
        self.keys.append(Key(tokens))

    def held(self, key: int | None) -> int:
        return sum(tokens for tokens, of in self.holds.values() if key is None or of == key)

    def left_for(self, key: int | None) -> int:
        if key is None:
            return self.left
        own = self.keys[key]
        return max(min(self.left, own.tokens - own.spent - self.held(key)), 0)

    def hold(self, hold_id: str, key: int | None, wanted: int, least: int) -> int | None:
        """What is held; None for 402."""
        left = self.left_for(key)
        if left < least:
            return None
        tokens = min(wanted, left)
        self.left -= tokens
        self.holds[hold_id] = tokens, key
        return tokens

    def settle(self, hold_id: str, key: int | None, cost: int) -> int:
        """What is taken."""
        own = None if key is None or self.keys[key].removed else self.keys[key]
        is_overspent = own is not None and own.spent + self.held(key) > own.tokens
        held, _ = self.holds.pop(hold_id, (0, None))
        taken = min(cost, held + (0 if is_overspent else self.left))
        self.left += held - taken
        self.used += taken
        self.overrun += cost - taken
        if own is not None:
            own.spent += taken
        return taken

    def expire(self) -> None:
        self.left += self.held(None)
        self.holds.clear()
