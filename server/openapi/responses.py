"""The responses of a route: its own answers, and its refusals by status."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

from server.errors import Refusal, TenantLimited, TooManyFaults, TooManyRequests
from server.openapi.error_bodies import content_of
from server.openapi.headers import LEFT, RATE, headers
from server.openapi.refusals import REFUSALS, refusals
from server.openapi.route import Answer, Route
from server.openapi.schemas import Json, Schemas, ref
from server.providers.errors import ProviderError, ProviderRefused, ProviderTimeout
from server.replies import JsonReply

# Where a repetition would come too soon, or cost as much again.
_FINAL_AT_TIMES = (TooManyRequests, TenantLimited, TooManyFaults, ProviderError, ProviderTimeout)
_FINAL_IF_REFUSED = ("404", "4XX")
"""What a provider refuses with 404 or 405 is of no use again, what with others may be."""


def responses(route: Route, schemas: Schemas) -> Json:
    """By status, in its order."""
    found: Json = {}
    by_status: dict[int, list[Answer]] = {}
    for answer in route.doc.answers:
        by_status.setdefault(answer.status, []).append(answer)
    for number, answers in by_status.items():
        bodies = {answer.media_type: _body(answer, route) for answer in answers}
        content = {kind: {"schema": schemas.of(body)} for kind, body in bodies.items() if body}
        when = "; or ".join(answer.when for answer in answers)
        found[str(number)] = _response(when, [answer.headers for answer in answers], content)
    for status, kinds in refusals(route).items():
        found.setdefault(status, _refusal(status, kinds, route, schemas))
    return {status: found[status] for status in sorted(found)}


def _body(answer: Answer, route: Route) -> Any:
    """The type of its body, None if it has none."""
    returned = get_type_hints(route.handler, include_extras=True)["return"]
    of_handler = get_args(returned)[0] if get_origin(returned) is JsonReply else None
    return answer.body or of_handler


def _response(when: str, names: Sequence[Sequence[str]], content: Json) -> Json:
    """One response, which may stand for several replies: `names` are the headers of each of them,
    and those that not all have are optional; `content` is by media type."""
    found = {"X-Request-ID": ref("X-Request-ID", "headers")}
    for name in dict.fromkeys(name for each in names for name in each):
        in_all = all(name in each for each in names)
        found[name] = ref(name, "headers") if in_all else {**headers()[name], "required": False}
    return {"description": when, "headers": found, **({"content": content} if content else {})}


def _refusal(status: str, kinds: Sequence[type[Refusal]], route: Route, schemas: Schemas) -> Json:
    """The response for refusals of one status."""
    names = [each for kind in kinds for each in _headers(status, kind, route)]
    when = "; or ".join(REFUSALS[kind][0] for kind in kinds)
    return _response(when, names, {"application/json": content_of(kinds, route, schemas)})


def _headers(status: str, kind: type[Refusal], route: Route) -> list[list[str]]:
    """Those of each of its replies."""
    of_user = route.doc.rated and kind in (TooManyRequests, TenantLimited)
    found = [*REFUSALS[kind][1], *((*RATE, *LEFT) if of_user else ())]
    final = [*found, "X-Should-Retry"]
    if kind in _FINAL_AT_TIMES or (kind is ProviderRefused and status in _FINAL_IF_REFUSED):
        replies = [found, final]
    else:
        replies = [final if kind.is_final else found]
    if issubclass(kind, (ProviderRefused, ProviderError)):  # some say when to come back
        replies += [[*each, "Retry-After"] for each in replies]
    return replies
