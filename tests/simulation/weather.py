"""What may go wrong, and how often: every seed has its own mix of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The chance of each fault, for every single message, call or event."""

    #: A request to the venue is lost, its reply is lost, either takes seconds.
    request_lost: float = 0.0
    reply_lost: float = 0.0
    request_slow: float = 0.0
    reply_slow: float = 0.0
    #: The connection breaks as an order or a cancel leaves, which arrives when all has gone on.
    order_strays: float = 0.0
    #: A request never leaves: no connection, or no rate budget.
    not_sent: float = 0.0
    #: The venue refuses: 429 or 418 with a time to keep quiet, or no funds.
    rate_limited: float = 0.0
    banned: float = 0.0
    no_funds: float = 0.0
    #: Account events.
    event_lost: float = 0.0
    event_repeated: float = 0.0
    event_slow: float = 0.0
    stream_broken: float = 0.0
    #: Quotes.
    quote_lost: float = 0.0
    quote_slow: float = 0.0
    quote_senseless: float = 0.0
    #: A transaction fails before it took effect, after it did, or takes seconds.
    store_request_lost: float = 0.0
    store_reply_lost: float = 0.0
    store_request_slow: float = 0.0
    store_reply_slow: float = 0.0
    #: A plan's workflow waits before it starts, runs a second time, or breaks off during the send.
    plan_slow: float = 0.0
    plan_again: float = 0.0
    plan_broken: float = 0.0
    #: The process dies or is stopped in the midst of a call to the venue or the store.
    dies: float = 0.0
    sleeps: float = 0.0


CALM = Weather()

#: The most there is of each fault where the mix has it.
_WORST = Weather(
    request_lost=0.1,
    reply_lost=0.2,
    request_slow=0.3,
    reply_slow=0.2,
    order_strays=0.1,
    not_sent=0.1,
    rate_limited=0.02,
    banned=0.004,
    no_funds=0.05,
    event_lost=0.5,
    event_repeated=0.2,
    event_slow=0.3,
    stream_broken=0.03,
    quote_lost=0.3,
    quote_slow=0.3,
    quote_senseless=0.1,
    store_request_lost=0.02,
    store_reply_lost=0.02,
    store_request_slow=0.1,
    store_reply_slow=0.1,
    plan_slow=0.1,
    plan_again=0.3,
    plan_broken=0.1,
    dies=0.015,
    sleeps=0.01,
)


def storm(dice: Random) -> Weather:
    """A mix that has about half of all faults, so that rare combinations come to be alone."""
    return Weather(
        **{
            item.name: getattr(_WORST, item.name) * dice.uniform(0.2, 1.0)
            for item in fields(Weather)
            if dice.random() < 0.5
        }
    )
