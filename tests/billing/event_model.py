"""All orders in which events can be handled: what Stripe says, when, and what then is stored.

A life is a row of moments at Stripe, and each moment but the first sends an event. A handler of one
takes a ticket, asks for the invoices, asks for the subscription, applies both in one step, replies;
or it dies between two of these, and the event comes again. All that is the state of a World, whose
moves are those of all handlers and of Stripe; `ends` visits each state once.

A rule can be switched off, to show that it is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

FREE = 100


class Invoice(NamedTuple):
    """Paid: of a period, its whole (`part` 1) or an upgrade within it."""

    name: str
    tokens: int
    period: int
    part: float = 1


class Moment(NamedTuple):
    """What Stripe would say: the plan that lives, or that none does yet or any more."""

    plan: str
    invoices: tuple[Invoice, ...]


class Stored(NamedTuple):
    """As the scripts have it, of a user that spends nothing."""

    ticket: int = 0
    applied: int = 0
    plan: str = ""
    allowance: int = FREE
    free_left: int | None = None
    period: int = -1
    largest: int = 0
    paid: tuple[tuple[str, int], ...] = ()
    """What each invoice gave."""


class Handler(NamedTuple):
    """Of the event of a moment; `step` counts what it has done."""

    moment: int
    step: int = 0
    ticket: int = 0
    invoices: int = 0
    """The moment in which it asked for them."""
    subscription: int = 0


@dataclass(frozen=True)
class Rules:
    ticket: bool = True
    """An answer counts only if nothing newer did."""
    overtaken: bool = True
    """Nor while something newer is asked for."""
    once: bool = True
    """An invoice counts once."""
    period: bool = True
    """Nothing is given for a period before the one that was paid for last, or twice for one."""
    begun: bool = True
    """No invoice counts of a subscription that has not begun; and what is known of that is no older
    than the invoice."""


class World(NamedTuple):
    stored: Stored
    now: int
    handlers: tuple[Handler, ...]
    deaths: int
    """That may still be."""


def ends(life: tuple[Moment, ...], copies: int, deaths: int, rules: Rules) -> set[Stored]:
    """What may be stored when all events are handled, without what tells one ticket from another.
    Each event comes so many times at once, and so many handlers die."""
    first = World(Stored(), 0, (), deaths)
    seen, waiting, found = {first}, [first], set()
    while waiting:
        world = waiting.pop()
        following = [*_moves(life, copies, world, rules)]
        if not following:
            found.add(world.stored._replace(ticket=0, applied=0))
        for each in map(_ranked, following):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return found


def _ranked(world: World) -> World:
    """With small numbers for its tickets: of these only the order matters, and without that there
    would be no end, as handlers may overtake each other again and again."""
    stored, handlers = world.stored, world.handlers
    tickets = {0, stored.applied, stored.ticket, *(each.ticket for each in handlers)}
    rank = {ticket: number for number, ticket in enumerate(sorted(tickets))}
    return world._replace(
        stored=stored._replace(ticket=rank[stored.ticket], applied=rank[stored.applied]),
        handlers=_sorted(*(each._replace(ticket=rank[each.ticket]) for each in handlers)),
    )


def _moves(life: tuple[Moment, ...], copies: int, world: World, rules: Rules) -> Iterator[World]:
    if world.now + 1 < len(life):
        told = (Handler(world.now + 1),) * copies
        yield world._replace(now=world.now + 1, handlers=_sorted(*world.handlers, *told))
    for number, handler in enumerate(world.handlers):
        if handler in world.handlers[:number]:
            continue  # it is as the one before
        others = world.handlers[:number] + world.handlers[number + 1 :]
        stored, after = _step(life, world, handler, rules)
        left = others if after is None else _sorted(*others, after)
        yield world._replace(stored=stored, handlers=left)
        if world.deaths and handler.step:
            again = _sorted(*others, Handler(handler.moment))
            yield world._replace(handlers=again, deaths=world.deaths - 1)


def _sorted(*handlers: Handler) -> tuple[Handler, ...]:
    return tuple(sorted(handlers))


def _step(
    life: tuple[Moment, ...], world: World, handler: Handler, rules: Rules
) -> tuple[Stored, Handler | None]:
    """What is stored then, and how far the handler is; None: it is done."""
    stored, step = world.stored, handler.step
    following = handler._replace(step=step + 1)
    if step == 0:
        ticket = stored.ticket + 1
        return stored._replace(ticket=ticket), following._replace(ticket=ticket)
    if step in (1, 2):
        is_for_invoices = (step == 1) == rules.begun
        asked = {"invoices" if is_for_invoices else "subscription": world.now}
        return stored, following._replace(**asked)
    if step == 4:
        return stored, None  # the reply
    if rules.ticket and handler.ticket <= stored.applied:
        return stored, following
    if rules.ticket and rules.overtaken and handler.ticket < stored.ticket:
        return stored, Handler(handler.moment)  # from the beginning
    plan = life[handler.subscription].plan
    stored = _apply(stored._replace(applied=handler.ticket), plan)
    for invoice in life[handler.invoices].invoices:
        if plan != NOT_YET or not rules.begun:
            stored = _credit(stored, invoice, rules)
    return stored, following


NOT_YET, ENDED = "not yet", "ended"


def _apply(stored: Stored, plan: str) -> Stored:
    if plan not in (NOT_YET, ENDED):
        return stored._replace(plan=plan)
    allowance = stored.allowance if stored.free_left is None else stored.free_left
    return stored._replace(plan="", allowance=allowance, free_left=None)


def _credit(stored: Stored, invoice: Invoice, rules: Rules) -> Stored:
    if rules.once and any(name == invoice.name for name, _ in stored.paid):
        return stored
    is_new = invoice.part == 1 and (invoice.period > stored.period or not rules.period)
    given = 0
    if stored.plan and is_new:
        given = invoice.tokens
    elif stored.plan and invoice.part < 1 and invoice.period == stored.period:
        given = max(int((invoice.tokens - stored.largest) * invoice.part), 0)
    if is_new:
        stored = stored._replace(period=invoice.period, largest=invoice.tokens)
    elif invoice.period == stored.period:
        stored = stored._replace(largest=max(stored.largest, invoice.tokens))
    if given:
        is_first = stored.free_left is None
        kept = stored.allowance if is_first else stored.free_left
        before = 0 if is_first or is_new else stored.allowance
        stored = stored._replace(free_left=kept, allowance=before + given)
    return stored._replace(paid=tuple(sorted((*stored.paid, (invoice.name, given)))))


def undisturbed(life: tuple[Moment, ...]) -> Stored:
    """Each event handled before the next moment."""
    stored = Stored()
    for moment in life[1:]:
        stored = _apply(stored, moment.plan)
        for invoice in moment.invoices:
            stored = _credit(stored, invoice, Rules())
    return stored
