"""What a comparison makes of a contract's position."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.contracts import Position
from domain.ids import Side
from domain.instrument import MarketKind
from ports.store import Held
from support.fake_exchange import BTC, FakeExchange
from symbol_manager.compare import COMPARE_AGAIN_MS
from symbol_manager.reconcile import Survey, why_position_differs
from unit.symbol_manager.factories import RecordingStore, make_intent, make_state, make_trade
from unit.symbol_manager.test_compare import EVERY_MS, Office

ENTRY = make_intent(-1)
CONTRACT = replace(BTC, symbol="BTC/USDT:USDT", kind=MarketKind.LINEAR)


def held(slots: str, others: str = "0") -> Held:
    return Held(Decimal(slots), Decimal(others))


def survey(position: str, *trades: tuple[Side, str]) -> Survey:
    told = [
        make_trade(ENTRY, "1", 1, side=side, quantity=Decimal(quantity))
        for side, quantity in trades
    ]
    return Survey([], told, position=Position(quantity=Decimal(position)))


@pytest.mark.parametrize(
    ("position", "trades", "recorded", "differs"),
    [
        pytest.param("0", [], held("0"), "", id="flat"),
        pytest.param("-0.3", [], held("-0.3"), "", id="short"),
        pytest.param("0.5", [], held("0.3", "0.2"), "", id="with a person's trades"),
        pytest.param("0.2", [], held("0.3"), "its trades make 0.3", id="less"),
        pytest.param("-0.3", [], held("0.3"), "its trades make 0.3", id="of the other sign"),
        pytest.param("0.1", [(Side.BUY, "0.2")], held("0.3"), "", id="asked before a trade"),
        pytest.param(
            "0.4", [(Side.SELL, "0.3"), (Side.BUY, "0.2")], held("0.3"), "", id="before two trades"
        ),
        pytest.param("0.35", [(Side.BUY, "0.2")], held("0.3"), "0.35", id="before no such trade"),
        pytest.param("0.1", [], held("0.3", "-0.2"), "against", id="closed by others"),
        pytest.param("-0.1", [], held("-0.3", "0.2"), "against", id="bought back by others"),
    ],
)
def test_position_is_compared_with_what_its_trades_make(
    position: str, trades: list[tuple[Side, str]], recorded: Held, differs: str
) -> None:
    why = why_position_differs(survey(position, *trades), recorded, "BTC")
    assert differs in why
    assert bool(why) is bool(differs)


async def test_position_that_drifts_halts_after_two_looks_until_it_is_right_again() -> None:
    office = Office(
        state=make_state(instrument=CONTRACT),
        exchange=FakeExchange(instrument=CONTRACT, position=Position(quantity=Decimal("0.1"))),
        store=RecordingStore(),
    )
    assert await office.compared()
    assert office.comparison.halt_reason == ""
    assert await office.compared(COMPARE_AGAIN_MS)
    assert office.comparison.halt_reason == "the position is 0.1 BTC, its trades make 0"
    assert office.store.recorded[-1].position == office.exchange.position

    office.store.held_in_contracts = held("0.1")
    assert await office.compared(EVERY_MS)
    assert office.comparison.halt_reason == ""
    assert "fetch_balances" not in office.exchange.asked


async def test_position_is_recorded_also_where_trades_wait_for_the_rate_budget() -> None:
    office = Office(
        state=make_state(instrument=CONTRACT),
        exchange=FakeExchange(instrument=CONTRACT, position=Position(quantity=Decimal("0.1"))),
        store=RecordingStore(),
    )
    office.store.held_in_contracts = held("0.1")
    office.exchange.rate.level = 0.0
    assert await office.compared()
    assert "fetch_trades" not in office.exchange.asked
    assert office.store.recorded[-1].position == office.exchange.position
