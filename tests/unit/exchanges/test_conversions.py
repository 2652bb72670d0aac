"""ccxt's structures as our values, exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.ids import Side
from domain.orders import VenueStatus
from exchanges.conversions import to_decimal, to_instrument, to_order_report, to_quote, to_trade

ORDER: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "clientOrderId": "abc",
    "id": "7",
    "status": "open",
    "filled": "0.00000001",
    "side": "buy",
    "price": "61800.01",
    "amount": "0.00123",
}
TRADE: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "id": "11",
    "order": "7",
    "side": "sell",
    "price": "61800.01",
    "amount": "0.1",
    "fee": {"cost": "6.18000100", "currency": "USDT"},
    "takerOrMaker": "maker",
    "timestamp": 1_700_000_000_000,
    "info": {},
}
MARKET: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "base": "BTC",
    "quote": "USDT",
    "spot": True,
    "precision": {"price": "0.01000000", "amount": "0.00001000"},
    "limits": {"amount": {"min": "0.00002500"}, "cost": {"min": "5.00000000"}},
}
FEE = {"maker": "0.001", "taker": "0.002"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(0.1, id="float"),
        pytest.param(None, id="none"),
        pytest.param("NaN", id="nan"),
        pytest.param("Infinity", id="infinite"),
        pytest.param("one", id="word"),
    ],
)
def test_number_that_is_not_finite_text_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError, ArithmeticError)):
        to_decimal(value)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("open", VenueStatus.OPEN),
        ("closed", VenueStatus.FILLED),
        ("canceled", VenueStatus.CANCELLED),
        ("expired", VenueStatus.CANCELLED),
        ("rejected", VenueStatus.REJECTED),
    ],
)
def test_order_status_maps_to_ours(status: str, expected: VenueStatus) -> None:
    report = to_order_report({**ORDER, "status": status, "amount": "0.00000001"})
    assert report.status is expected
    assert report.filled == Decimal("0.00000001")


def test_order_that_closed_before_all_was_filled_ended_cancelled() -> None:
    report = to_order_report({**ORDER, "status": "closed"})
    assert (report.status, report.filled) == (VenueStatus.CANCELLED, Decimal("0.00000001"))


def test_order_without_client_id_is_somebody_elses() -> None:
    assert to_order_report({**ORDER, "clientOrderId": None}).client_order_id == ""


@pytest.mark.parametrize("missing", ["id", "status", "filled", "side"])
def test_order_without_a_field_is_refused(missing: str) -> None:
    with pytest.raises((TypeError, ValueError, LookupError)):
        to_order_report({**ORDER, missing: None})


def test_order_at_market_has_price_zero() -> None:
    assert to_order_report({**ORDER, "price": None}).price == 0


def test_trade_keeps_every_digit() -> None:
    trade = to_trade(TRADE)
    assert (trade.price, trade.quantity, trade.fee) == (
        Decimal("61800.01"),
        Decimal("0.1"),
        Decimal("6.180001"),
    )
    assert (trade.side, trade.fee_asset, trade.is_maker) == (Side.SELL, "USDT", True)


def test_trade_without_a_charge_names_the_asset_received() -> None:
    free = {**TRADE, "fee": {"cost": "0", "currency": None}}
    assert to_trade(free).fee_asset == "USDT"
    assert to_trade({**free, "side": "buy"}).fee_asset == "BTC"


@pytest.mark.parametrize("name", ["realizedPnl", "rp"])
def test_trade_of_a_contract_keeps_what_it_realised(name: str) -> None:
    trade = to_trade({**TRADE, "symbol": "BTC/USDT:USDT", "info": {name: "-0.12345678"}})
    assert trade.realised == Decimal("-0.12345678")


def test_buy_of_a_contract_without_a_charge_names_the_quote() -> None:
    free = {"side": "buy", "fee": {"cost": "0", "currency": None}}
    assert to_trade({**TRADE, **free, "symbol": "BTC/USDT:USDT"}).fee_asset == "USDT"


def test_quote_may_lack_a_side() -> None:
    quote = to_quote("BTC/USDT", {"bid": None, "ask": "2"}, 5)
    assert (quote.bid, quote.ask, quote.exchange_ms) == (None, Decimal(2), 5)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        pytest.param(None, None, id="empty"),
        pytest.param("2", "1", id="crossed"),
        pytest.param("1", "1", id="locked"),
        pytest.param("-1", "1", id="negative"),
        pytest.param("0", "1", id="zero"),
        pytest.param("NaN", "1", id="nan"),
    ],
)
def test_quote_that_makes_no_sense_is_refused(bid: str | None, ask: str | None) -> None:
    with pytest.raises(ValueError, match=r"BTC/USDT|finite"):
        to_quote("BTC/USDT", {"bid": bid, "ask": ask}, 5)


def test_instrument_takes_the_venues_steps_exactly() -> None:
    instrument = to_instrument("sim", MARKET, FEE)
    assert str(instrument.tick_size) == "0.01"
    assert str(instrument.lot_size) == "0.00001"
    assert instrument.min_quantity_lots == 3
    assert instrument.min_notional == 5
    assert (instrument.maker_fee, instrument.taker_fee) == (Decimal("0.001"), Decimal("0.002"))


def test_instrument_with_a_whole_tick_prints_prices_plainly() -> None:
    market = {**MARKET, "precision": {"price": "10.00", "amount": "0.1"}}
    assert str(to_instrument("sim", market, FEE).ticks_to_price(6_180)) == "61800"
