"""The one place where ccxt's exceptions become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ccxt

from domain.errors import (
    AuthenticationRefused,
    OrderNotFound,
    OrderRejected,
    OutcomeUnknown,
    TransientVenueError,
    VenueError,
)

CcxtError: type[Exception] = ccxt.BaseError
#: What ccxt, or we, raise on a reply that is not of the expected shape.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
MESSAGE_MAX = 300
#: A request's query, which holds its signature.
_QUERY = re.compile(r"\?\S+")

#: ccxt takes a Binance key that worked before for a temporary ban.
_REVOKED_KEY = '"code":-2015'

#: By ccxt's class, the narrower before the wider.
_BY_CLASS: tuple[tuple[type[Exception], type[VenueError] | str], ...] = (
    (ccxt.OrderNotFound, OrderNotFound),
    (ccxt.InsufficientFunds, "insufficient_funds"),
    (ccxt.OrderImmediatelyFillable, "would_cross"),
    # 429 and 418, and a timestamp outside the window: refused before anything was done.
    (ccxt.DDoSProtection, TransientVenueError),
    (ccxt.RateLimitExceeded, TransientVenueError),
    (ccxt.InvalidNonce, TransientVenueError),
    (ccxt.AuthenticationError, AuthenticationRefused),
    (ccxt.OperationFailed, OutcomeUnknown),
    (ccxt.BadResponse, OutcomeUnknown),
    (ccxt.InvalidOrder, "other"),
    (ccxt.BadRequest, "other"),
    (ccxt.OperationRejected, "other"),
    (ccxt.NotSupported, "other"),
)


def translate(
    error: Exception, *, may_have_acted: bool, refusals: Sequence[tuple[str, str]] = ()
) -> VenueError:
    """Our error for one of ccxt's.

    Parameters
    ----------
    refusals : Sequence[tuple[str, str]]
        The venue's own words, where ccxt's class says too little, and the reason each stands for;
        the first that matches wins.
    may_have_acted : bool
        Whether a request that changes something may have reached the venue. If not, an outcome
        that nobody knows is merely one that did not come.
    """
    text = _QUERY.sub("", str(error))[:MESSAGE_MAX]
    kind: type[VenueError] | str | None
    if _REVOKED_KEY in text:
        kind = AuthenticationRefused
    else:
        kind = next((reason for words, reason in refusals if words in text), None)
    if kind is None:
        kind = next((kind for known, kind in _BY_CLASS if isinstance(error, known)), None)
    if kind is None:
        # The venue's refusal by a code that ccxt does not know, or a reply cut short.
        kind = "other" if '"code":-' in text else OutcomeUnknown
    if isinstance(kind, str):
        return OrderRejected(text, reason=kind)
    if kind is OutcomeUnknown and not may_have_acted:
        return TransientVenueError(text)
    return kind(text)


def is_wrong_time(error: Exception) -> bool:
    """Whether the venue refused the request's timestamp."""
    return isinstance(error, ccxt.InvalidNonce)


def is_rate_limited(error: Exception) -> bool:
    """Whether the venue asked for silence, in whatever form."""
    return isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded)


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """A reply of another shape than expected says nothing about what happened."""
    try:
        yield
    except MALFORMED as error:
        raise OutcomeUnknown(f"{what} not understood: {error!r}") from error
