"""What the venues' refusals mean, and one that accidents borrow."""

from __future__ import annotations

from domain.instrument import MarketKind
from ports.exchange import NotSent, Outcome, Refused
from simulator.errors import FuturesError, VenueError

#: What the venues' words mean; the first that is among them.
_REFUSALS = (
    ("-2011", "not_found"),
    ("immediately match", "would_cross"),
    ("-5022", "would_cross"),
    ("insufficient balance", "insufficient_funds"),
    ("-2019", "insufficient_funds"),
    ("-2027", "insufficient_funds"),
    ("-2022", "reduce_only"),
    ("Duplicate", "duplicate"),
    ("-4116", "duplicate"),
    *((code, "filter") for code in ("-1013", "-1111", "-4003", "-4014", "-4016", "-4023")),
    *((code, "filter") for code in ("-4024", "-4164")),
)


def no_funds(kind: MarketKind) -> VenueError:
    if kind is MarketKind.LINEAR:
        return FuturesError.MARGIN_INSUFFICIENT.error()
    return VenueError(-2010, "Account has insufficient balance for requested action.")


def is_for_funds(error: VenueError) -> bool:
    match refusal_of(error):
        case Refused(reason="insufficient_funds"):
            return True
        case _:
            return False


def refusal_of(error: VenueError) -> Outcome:
    if error.code == -1003:
        return NotSent(error.message)
    said = f"{error.code} {error.message}"
    reason = next((reason for words, reason in _REFUSALS if words in said), "other")
    return Refused(reason, error.message)
