"""What a trade books, on each kind of market."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.ids import Side, VenueOrderId
from domain.instrument import MarketKind
from domain.orders import Trade
from store.rows import ledger_values
from support.fake_exchange import BTC

TRADE = Trade(
    symbol="BTC/USDT",
    trade_id="11",
    venue_order_id=VenueOrderId("7"),
    side=Side.SELL,
    price=Decimal(61_800),
    quantity=Decimal("0.1"),
    fee=Decimal("6.18"),
    fee_asset="USDT",
    is_maker=True,
    traded_ms=1_700_000_000_000,
)


def movements(trade: Trade, kind: MarketKind) -> set[tuple[object, object, object]]:
    rows = ledger_values(trade, replace(BTC, kind=kind))
    return {(row["asset"], row["kind"], row["amount"]) for row in rows}


def test_spot_trade_moves_base_and_quote_and_pays_its_fee() -> None:
    assert movements(TRADE, MarketKind.SPOT) == {
        ("BTC", "trade", Decimal("-0.1")),
        ("USDT", "trade", Decimal(6_180)),
        ("USDT", "fee", Decimal("-6.18")),
    }


@pytest.mark.parametrize("realised", ["-12.34", "12.34"])
def test_trade_of_a_contract_moves_what_it_realised_and_pays_its_fee(realised: str) -> None:
    trade = replace(TRADE, realised=Decimal(realised))
    assert movements(trade, MarketKind.LINEAR) == {
        ("USDT", "realised", Decimal(realised)),
        ("USDT", "fee", Decimal("-6.18")),
    }


def test_trade_of_a_contract_that_only_opens_books_its_fee_alone() -> None:
    assert movements(TRADE, MarketKind.LINEAR) == {("USDT", "fee", Decimal("-6.18"))}
