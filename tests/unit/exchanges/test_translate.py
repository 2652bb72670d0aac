"""ccxt's exceptions as ours."""

from __future__ import annotations

import ccxt
import pytest

from domain.errors import (
    AuthenticationRefused,
    OrderNotFound,
    OrderRejected,
    OutcomeUnknown,
    TransientVenueError,
    VenueError,
)
from exchanges.translate import MESSAGE_MAX, translate, understanding
from exchanges.venues import VENUES


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(ccxt.RequestTimeout("POST"), OutcomeUnknown, id="timeout"),
        pytest.param(ccxt.RequestTimeout('{"code":-1007}'), OutcomeUnknown, id="-1007"),
        pytest.param(ccxt.OperationFailed('{"code":-1006}'), OutcomeUnknown, id="-1006"),
        pytest.param(ccxt.ExchangeNotAvailable("503"), OutcomeUnknown, id="5xx"),
        pytest.param(ccxt.OnMaintenance("maintenance"), OutcomeUnknown, id="maintenance"),
        pytest.param(ccxt.BadResponse("<html>"), OutcomeUnknown, id="bad-response"),
        pytest.param(ccxt.NullResponse("empty"), OutcomeUnknown, id="empty-response"),
        pytest.param(ccxt.ExchangeError("reply cut short"), OutcomeUnknown, id="cut-short"),
        pytest.param(ccxt.DDoSProtection("429"), TransientVenueError, id="429"),
        pytest.param(ccxt.RateLimitExceeded('{"code":-1015}'), TransientVenueError, id="-1015"),
        pytest.param(ccxt.InvalidNonce('{"code":-1021}'), TransientVenueError, id="-1021"),
        pytest.param(ccxt.AuthenticationError("-1022"), AuthenticationRefused, id="signature"),
        pytest.param(ccxt.PermissionDenied("ip"), AuthenticationRefused, id="permission"),
        pytest.param(
            ccxt.DDoSProtection('{"code":-2015,"msg":"Invalid API-key"}'),
            AuthenticationRefused,
            id="revoked-key",
        ),
        pytest.param(ccxt.OrderNotFound("-2013"), OrderNotFound, id="not-found"),
    ],
)
def test_error_of_a_request_that_may_have_acted_is(
    error: Exception, expected: type[VenueError]
) -> None:
    assert type(translate(error, may_have_acted=True)) is expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(
            ccxt.OrderImmediatelyFillable("Order would immediately match and take."),
            "would_cross",
            id="post-only",
        ),
        pytest.param(ccxt.InsufficientFunds("balance"), "insufficient_funds", id="funds"),
        pytest.param(ccxt.InvalidOrder("Duplicate order sent."), "duplicate", id="duplicate"),
        pytest.param(ccxt.InvalidOrder("binance lot size LOT_SIZE"), "filter", id="lot"),
        pytest.param(
            ccxt.BadRequest('{"code":-1013,"msg":"Filter failure: NOTIONAL"}'),
            "filter",
            id="notional",
        ),
        pytest.param(ccxt.BadRequest('{"code":-1111,"msg":"precision"}'), "filter", id="-1111"),
        pytest.param(ccxt.BadRequest('{"code":-1104}'), "other", id="unknown-parameter"),
        pytest.param(ccxt.ExchangeError('{"code":-9999}'), "other", id="unknown-code"),
    ],
)
def test_refused_order_carries_the_reason(error: Exception, reason: str) -> None:
    refused = translate(error, may_have_acted=True, refusals=VENUES["binance"].refusals)
    assert isinstance(refused, OrderRejected)
    assert refused.reason == reason


def test_unknown_outcome_of_what_cannot_have_acted_is_transient() -> None:
    unknown = translate(ccxt.RequestTimeout("GET"), may_have_acted=False)
    assert type(unknown) is TransientVenueError


def test_message_holds_no_signature_and_is_short() -> None:
    url = "https://api.binance.com/api/v3/order?timestamp=1&signature=abcdef"
    message = str(translate(ccxt.RequestTimeout(f"GET {url} {'x' * 999}"), may_have_acted=True))
    assert "signature" not in message
    assert message.startswith("GET https://api.binance.com/api/v3/order")
    assert len(message) == MESSAGE_MAX


def test_reply_of_another_shape_is_an_unknown_outcome() -> None:
    with pytest.raises(OutcomeUnknown, match="place reply"), understanding("place reply"):
        raise KeyError("status")
