"""What a Redis says of its memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; `most` is its `maxmemory`, 0 for none."""

    used: int
    most: int
    policy: str

    @property
    def percent(self) -> float:
        """How much of `most` is used; 0 where there is no such bound."""
        return 100 * self.used / self.most if self.most else 0.0


def read_memory(info: bytes) -> Memory:
    """From the reply to `INFO memory`."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    found = {name: value for name, _, value in lines}
    # As Redis does when it decides whether a command may still write.
    used = int(found.get("used_memory", 0)) - int(found.get("mem_not_counted_for_evict", 0))
    return Memory(used, int(found.get("maxmemory", 0)), found.get("maxmemory_policy", "noeviction"))
