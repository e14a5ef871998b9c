"""Lists, the newest first, in pages, by what Stripe filters them by."""

from typing import Any

from tests.doubles.stripe_api.world import Object, Refused, World

ENDED = ("canceled", "incomplete_expired")


def listed(world: World, kind: str, wanted: dict[str, Any], path: str) -> Object:
    """Raises Refused."""
    limit, after = int(wanted.pop("limit", 10)), wanted.pop("starting_after", None)
    if not 1 <= limit <= 100:
        raise Refused(400, "This value must be between 1 and 100 (inclusive)")
    found = [each for each in world.all(kind)[::-1] if not each.get("deleted")]
    if kind == "subscription" and "status" not in wanted:
        found = [each for each in found if each["status"] not in ENDED]
    for name, value in wanted.items():
        found = [each for each in found if _fits(each, name, value)]
    if after is not None:
        ids = [each["id"] for each in found]
        found = found[ids.index(after) + 1 :]
    return {
        "object": "list",
        "url": path,
        "data": [world.shown(each) for each in found[:limit]],
        "has_more": len(found) > limit,
    }


def _fits(one: Object, name: str, value: Any) -> bool:
    match name:
        case "created":
            at = int(one["created"])
            bounds = {"gte": at.__ge__, "gt": at.__gt__}
            return all(bounds[each](int(bound)) for each, bound in value.items())
        case "lookup_keys":
            return bool(one["lookup_key"] in value)
        case "active":
            return one["active"] is (value == "true")
        case "types":
            return bool(one["type"] in value)
        case "delivery_success":
            return one["_delivered"] is (value == "true")
        case "status" if one["object"] == "subscription" and value == "all":
            return True
        case "subscription" if one["object"] == "invoice":
            details = one["parent"]["subscription_details"]
            return bool(details["subscription"] == value)
        case "payment":
            return all(one["payment"].get(each) == wanted for each, wanted in value.items())
        case _ if name in one:
            return bool(one[name] == value)
        case _:
            raise Refused(400, f"Received unknown parameter: {name}")
