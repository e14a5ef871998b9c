"""Record: what is kept of a call that is billed by time, until it is settled."""

from dataclasses import asdict, dataclass
from typing import NamedTuple, Self, get_args

import orjson

from server.amounts import LARGEST, is_amount
from server.errors import Unreadable
from server.metering.block import Taken
from server.metering.results import TimedCall
from server.tenants.models import THOUSAND
from server.timed.provider import Bill, Status
from server.who import Ref, RestrictedKey, Who

_STATUSES = get_args(Status)


class Price(NamedTuple):
    """In thousandths of a token: of a second, and of tokens that ran beside the call."""

    second: int
    input_token: int
    output_token: int

    def cost(self, bill: Bill) -> int:
        """In tokens."""
        thousandths = (
            bill.seconds * self.second
            + bill.input_tokens * self.input_token
            + bill.output_tokens * self.output_token
        )
        return min(-(-thousandths // THOUSAND), LARGEST)


class Name(NamedTuple):
    """A call in the work list of all tenants."""

    tenant_id: str
    user_id: str
    call_id: str
    endpoint: str

    def __str__(self) -> str:
        return " ".join(self)

    @classmethod
    def parse(cls, text: bytes) -> "Name | None":
        try:
            parts = text.decode().split(" ", 3)
        except UnicodeDecodeError:
            return None
        return cls(*parts) if len(parts) == 4 and all(parts) else None


@dataclass(frozen=True, slots=True)
class Record:
    """`seconds`: the most that it may last; `ends_ms`: when it should be over, or was, as far as is
    known; `used`: seconds, of `status` when it was last looked at. `key_id`: of the restricted key
    that made it, '' for a full one; `taken` as in TimedCall."""

    hold_id: str
    key_id: str
    request_id: str
    endpoint: str
    created_ms: int
    join_seconds: int
    seconds: int
    price: Price
    taken: Taken | None
    ends_ms: int
    status: Status = "created"
    used: int = 0
    is_hung_up: bool = False

    @property
    def latest_ms(self) -> int:
        """When it has ended for certain, if the provider keeps to `seconds`."""
        return self.created_ms + (self.join_seconds + self.seconds) * 1000

    def ref(self, call_id: str) -> Ref:
        return {"requestId": self.request_id, "endpoint": self.endpoint, "call": call_id}

    def who(self, name: Name) -> Who:
        key = RestrictedKey(self.key_id, None, None) if self.key_id else None
        return Who(name.tenant_id, name.user_id, "", key)

    def timed_call(self, call_id: str) -> TimedCall:
        return TimedCall(call_id, self.hold_id, self.taken)

    def dump(self) -> bytes:
        values = asdict(self)
        values["price"] = list(self.price)
        values["taken"] = None if self.taken is None else list(self.taken)
        return orjson.dumps(values)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises Unreadable."""
        try:
            values = orjson.loads(text)
            taken = values["taken"]
            values["price"] = Price(*values["price"])
            values["taken"] = None if taken is None else Taken(*taken)
            record = cls(**values)
            numbers = (record.created_ms, record.join_seconds, record.seconds, record.ends_ms)
            amounts = (*numbers, record.used, *record.price, *(record.taken or ()))
            texts = (record.hold_id, record.key_id, record.request_id, record.endpoint)
            is_whole = all(map(is_amount, amounts)) and record.status in _STATUSES
            is_whole = is_whole and all(isinstance(text, str) for text in texts)
        except (ValueError, LookupError, TypeError):
            is_whole = False
        if not is_whole:
            raise Unreadable("a call that is billed by time")
        return record
