"""The refusals of billing; server/errors.py has the others.

Refusal
├── InvalidSignature      400  an event that is not Stripe's, or not of now
├── LoginRequired         403  only who has signed in can buy
├── BillingNotConfigured  404
├── NoCustomer            409  who has never bought
├── AlreadySubscribed     409
├── PaymentDisputed       409
├── BillingFailed         502  Stripe cannot be asked, or does not do its part
│   ├── QuestionRefused   502
│   └── BillingTimeout    504
└── NotApplied            503  an event that Stripe is to deliver again
"""

from server.errors import BadRequest, NotFound, Refusal, ServiceUnavailable


class InvalidSignature(BadRequest):
    label = "invalid_signature"
    message = "Invalid signature"


class LoginRequired(Refusal):
    label = "login_required"
    status = 403
    message = "Login required"
    is_final = True


class BillingNotConfigured(NotFound):
    label = "billing_not_configured"
    message = "Billing not configured"


class NoCustomer(Refusal):
    label = "no_customer"
    status = 409
    message = "No customer"


class AlreadySubscribed(Refusal):
    label = "already_subscribed"
    status = 409
    message = "Already subscribed"


class PaymentDisputed(Refusal):
    label = "payment_disputed"
    status = 409
    message = "Payment disputed"


class BillingFailed(Refusal):
    """`reason` is a word or two."""

    label = "billing_failed"
    status = 502
    message = "Billing provider failed"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason


class QuestionRefused(BillingFailed):
    """Stripe says that this cannot be."""


class BillingTimeout(BillingFailed):
    label = "billing_timeout"
    status = 504
    message = "Billing provider timed out"


class NotApplied(ServiceUnavailable):
    label = "not_applied"
