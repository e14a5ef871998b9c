"""The models that an endpoint of a tenant's config offers, and what they cost.

Weights are tokens charged per token used. A config writes them with up to three decimals; here they
are thousandths, so that costs are exact.
"""

from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from server.amounts import LARGEST
from server.tenants.strict import Strict, Text

THOUSAND = 1_000
"""Of a weight of 1."""
LARGEST_WEIGHT = 1_000 * THOUSAND
ANY = "*"
"""In an endpoint's `models`: it may be asked for any, as `<endpoint>/<model>`."""


def _thousandths(value: Any) -> int:
    if type(value) not in (int, float):
        raise ValueError("must be a number")
    # Python writes a float as it stood in the JSON, where it has so few digits.
    exact = Decimal(str(value)) * THOUSAND
    if not 1 <= exact <= LARGEST_WEIGHT or exact % 1:
        raise ValueError("must be a number from 0.001 to 1000, with three decimals at most")
    return int(exact)


Weight = Annotated[
    int,
    BeforeValidator(_thousandths),
    WithJsonSchema({"type": "number", "minimum": 0.001, "maximum": 1000}),
]
MaxOutput = Annotated[int, Field(ge=1, le=10_000_000)]


class Weights(NamedTuple):
    """Of a model, in thousandths: of the input, of what of it was read from a cache, and of the
    output. `of_prompt` is the most that a token of a prompt can cost, as nobody knows before what
    of it is cached."""

    input: int
    cached: int
    output: int
    of_prompt: int

    def cost(self, used_by_input: int, cached: int, output: int) -> int:
        """In tokens; `cached` of the input were read from a cache."""
        of_input, of_cached, of_output, _ = self
        cost = (used_by_input - cached) * of_input + cached * of_cached + output * of_output
        cost = -(-cost // THOUSAND)
        return cost if cost < LARGEST else LARGEST

    def most(self, prompt: int, output: int) -> int:
        """What so many tokens can cost, in tokens."""
        cost = -(-(self.of_prompt * prompt + self.output * output) // THOUSAND)
        return cost if cost < LARGEST else LARGEST

    def can_be(self, tokens: int) -> bool:
        """Can a report of so many be true, whatever they were? Their cost must be an amount."""
        return tokens * max(self) <= _MOST_BELIEVED


_MOST_BELIEVED = LARGEST * THOUSAND


def in_tokens(thousandths: int) -> int:
    """Rounded up."""
    return -(-thousandths // THOUSAND)


def weights_of(of_input: int, cached: int, output: int) -> Weights:
    return Weights(of_input, cached, output, max(of_input, cached))


class OfferedModel(Strict):
    """A model; what it does not say is as the endpoint says, and its other weights as `weight`."""

    name: Text = Field(description="as the endpoint knows it")
    weight: Weight | None = Field(None, description="tokens charged per token used")
    input_weight: Weight | None = Field(None, description="per token of input, cache writes too")
    cached_weight: Weight | None = Field(None, description="per token of input read from a cache")
    output_weight: Weight | None = Field(None, description="per token of output")
    max_output: MaxOutput | None = Field(
        None, description="output limit in tokens where a call has none"
    )

    def weights(self, otherwise: int) -> Weights:
        """`otherwise`: the endpoint's weight."""
        weight = self.weight or otherwise
        return weights_of(
            self.input_weight or weight, self.cached_weight or weight, self.output_weight or weight
        )


def _kind(model: Any) -> str:
    return "[name]" if isinstance(model, str) else "[object]"


Model = Annotated[
    Annotated[Text, Tag("[name]")] | Annotated[OfferedModel, Tag("[object]")],
    Discriminator(_kind),
]
"""By its name alone, or with what it costs."""
