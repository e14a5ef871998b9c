"""What was used last, as much of it as there is room for."""

from server.recent import Recent


def kept(recent: Recent[str], keys: str) -> str:
    """Those of the keys that it has; the one asked first is then the oldest."""
    return "".join(key for key in keys if recent.get(key))


def test_what_was_used_least_recently_goes_first() -> None:
    recent: Recent[str] = Recent(3)
    for key in "abc":
        recent.put(key, key)
    recent.get("a")
    recent.put("d", "d")
    assert kept(recent, "abcd") == "acd"
    recent.put("a", "again")  # was the oldest, and takes no more room than before
    assert kept(recent, "cda") == "cda"
    recent.forget("d")
    recent.forget("d")
    recent.put("e", "e")
    assert kept(recent, "abcde") == "ace"


def test_room_is_by_weight() -> None:
    recent: Recent[str] = Recent(10, len)
    for key, size in (("a", 4), ("b", 4), ("c", 2)):
        recent.put(key, "x" * size)
    assert kept(recent, "abc") == "abc"
    recent.put("d", "x")
    assert kept(recent, "abcd") == "bcd"
    recent.put("b", "x" * 7)
    assert kept(recent, "bcd") == "bcd"
    recent.put("e", "x" * 11)  # too heavy for all, but just now it is needed
    assert kept(recent, "bcde") == "e"
    recent.put("f", "x" * 10)
    assert kept(recent, "ef") == "f"
