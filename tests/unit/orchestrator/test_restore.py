"""What a restoration makes of an account's orders, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.contracts import Position
from domain.errors import RequestRefused
from domain.ids import Purpose, Side, SlotId
from domain.instrument import MarketKind
from domain.orders import Intent, OrderRecord, Trade, VenueStatus
from grid.spec import GridSpec
from orchestrator.restore import (
    AccountSurvey,
    Restoration,
    Wanted,
    judge,
    refuse_alive,
    survey_account,
)
from orchestrator.restore.survey import SymbolSurvey
from ports.store import Desired
from support.fake_exchange import BTC, FakeExchange
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    NONCE,
    SHARD,
    make_intent,
    make_report,
    make_spec,
    make_trade,
)

SYMBOL = "BTC/USDT"
OPEN, FILLED, CANCELLED = VenueStatus.OPEN, VenueStatus.FILLED, VenueStatus.CANCELLED
Told = tuple[Intent, VenueStatus, int]

#: Slot -1 bought and sold, bought again and rests to sell; slot -2 rests to buy.
FIRST_ENTRY = make_intent(-1, Side.BUY, generation=1)
FIRST_EXIT = make_intent(-1, Side.SELL, generation=1)
ENTRY = make_intent(-1, Side.BUY, generation=2)
EXIT = make_intent(-1, Side.SELL, generation=4)
LOWER = make_intent(-2, Side.BUY, generation=1)
HISTORY: tuple[Told, ...] = (
    (FIRST_ENTRY, FILLED, ENTRY_LOTS),
    (LOWER, OPEN, 0),
    (FIRST_EXIT, FILLED, ENTRY_LOTS),
    (ENTRY, FILLED, ENTRY_LOTS),
    (EXIT, OPEN, 0),
)


def survey_of(
    history: Sequence[Told] = HISTORY,
    *,
    trades: Sequence[Trade] | None = None,
    base: str = "0.1",
    instrument: Any = BTC,
    position: str = "0",
) -> AccountSurvey:
    """An account whose venue tells these orders, one a second, each filled at its end."""
    records = [
        (_record(intent, status, lots, number), intent.tag)
        for number, (intent, status, lots) in enumerate(history)
    ]
    filled = [
        make_trade(intent, str(number), lots, traded_ms=1_000 * number + 500)
        for number, (intent, _, lots) in enumerate(history)
        if lots
    ]
    told = SymbolSurvey(
        instrument=instrument,
        orders=records,
        trades=filled if trades is None else trades,
        position=Position(quantity=Decimal(position)),
    )
    return AccountSurvey(
        account="sim",
        symbols={SYMBOL: told},
        balances={"BTC": Decimal(base), "USDT": Decimal(1_000)},
        exchange_ms=100_000,
    )


def _record(intent: Intent, status: VenueStatus, lots: int, number: int) -> OrderRecord:
    return OrderRecord(
        report=make_report(intent, status, lots),
        post_only=True,
        reduce_only=False,
        placed_ms=1_000 * number,
        changed_ms=1_000 * number + 500,
    )


def judged(seen: AccountSurvey, spec: GridSpec | None = None, **wanted: Any) -> Restoration:
    return judge(seen, Wanted(symbols={SYMBOL: spec or make_spec()}, **wanted))


def problem_of(restoration: Restoration) -> str:
    return "\n".join(restoration.problems)


def test_judge_rebuilds_slots_pairs_and_live_orders() -> None:
    restoration = judged(survey_of())
    assert restoration.problems == ()
    assert (restoration.nonce, restoration.last_shard) == (NONCE, SHARD + 1_000)
    (restored,) = restoration.symbols
    assert (restored.shard, restored.desired) == (SHARD, Desired.RUNNING)
    assert restored.inventory == Decimal("0.1")
    assert restored.cost == Decimal("9.9")
    assert len(restored.rebuilt.pairs) == 1
    live = {order.order.record.report.client_order_id for order in restored.rebuilt.live}
    assert live == {EXIT.client_order_id, LOWER.client_order_id}
    slot = restored.rebuilt.slots[SlotId(0, -1)]
    assert (slot.buy_generation, slot.sell_generation) == (2, 4)
    assert restored.ladders[0][0].anchor == Decimal(100)
    assert restored.last_trade_id == "3"
    assert restored.former == ()


def test_judge_finds_the_anchor_that_the_spec_leaves_open() -> None:
    spec = make_spec(range={"kind": "window", "buy_window": 3, "sell_window": 3})
    (restored,) = judged(survey_of(), spec).symbols
    assert restored.ladders[0][0].anchor == Decimal(100)
    assert restored.start_price == Decimal(100)


def test_judge_of_orders_of_several_installations_asks_which() -> None:
    other = make_intent(-3, Side.BUY, nonce=NONCE + 1)
    seen = survey_of([*HISTORY, (other, CANCELLED, 0)])
    assert "7 (5 orders), 8 (1 orders); choose one with --nonce" in problem_of(judged(seen))
    assert judged(seen).nonce is None
    assert judged(seen, nonce=NONCE).problems == ()
    assert "no order of installation 9 is told" in problem_of(judged(seen, nonce=9))


def test_judge_of_an_order_of_another_installation_that_rests_refuses() -> None:
    other = make_intent(-3, Side.BUY, nonce=NONCE + 1)
    restoration = judged(survey_of([*HISTORY, (other, OPEN, 0)]), nonce=NONCE)
    assert f"of installation {NONCE + 1} rests there" in problem_of(restoration)


def test_judge_without_any_order_of_ours_has_nothing_to_restore() -> None:
    assert "nothing to restore" in problem_of(judged(survey_of([])))


def test_judge_of_a_symbol_without_orders_leaves_it_to_be_added() -> None:
    seen = survey_of()
    untraded = replace(seen.symbols[SYMBOL], orders=(), trades=())
    both = replace(seen, symbols={**seen.symbols, "ETH/USDT": untraded})
    restoration = judge(both, Wanted(symbols={SYMBOL: make_spec(), "ETH/USDT": make_spec()}))
    assert restoration.problems == ()
    assert restoration.untraded == ("ETH/USDT",)
    assert [each.symbol for each in restoration.symbols] == [SYMBOL]


def test_judge_of_another_step_than_was_traded_refuses() -> None:
    third = make_intent(-3, Side.BUY)
    wrong = make_spec(spacing={"kind": "arithmetic", "step": "1.3"})
    restoration = judged(survey_of([*HISTORY, (third, OPEN, 0)]), wrong)
    assert "`spacing` must put the prices" in problem_of(restoration)
    assert restoration.symbols == ()


def test_judge_of_missing_trades_offers_to_begin_later() -> None:
    seen = survey_of()
    told = seen.symbols[SYMBOL]
    later = replace(seen, symbols={SYMBOL: replace(told, trades=told.trades[1:])})
    assert "--since DATE" in problem_of(judged(later))

    restoration = judged(later, since_ms=3_000)
    assert restoration.problems == ()
    (restored,) = restoration.symbols
    assert restored.inventory == Decimal("0.1")
    assert [order.order.tag for order in restored.rebuilt.orders] == [
        LOWER.tag,
        ENTRY.tag,
        EXIT.tag,
    ]


def test_judge_since_after_the_entry_begins_with_what_the_exit_sells() -> None:
    (restored,) = judged(survey_of(), since_ms=4_000).symbols
    assert restored.inventory == Decimal("0.1")
    assert restored.rebuilt.began[SlotId(0, -1)].cost_units == BTC.quote_to_units(Decimal("9.9"))
    assert restored.rebuilt.fills == ()


def test_judge_of_base_that_is_not_there_refuses() -> None:
    assert "the account has 0.04" in problem_of(judged(survey_of(base="0.04")))


def test_judge_of_a_symbol_that_was_added_twice_restores_the_newer_shard() -> None:
    former = make_intent(-1, Side.BUY, shard=SHARD - 1)
    (restored,) = judged(survey_of([(former, CANCELLED, 0), *HISTORY])).symbols
    assert restored.shard == SHARD
    assert [order.record.report.client_order_id for order in restored.former] == [
        former.client_order_id
    ]
    assert restored.former_traded == ()
    resting = judged(survey_of([(former, OPEN, 0), *HISTORY]))
    assert "which was removed, rests" in problem_of(resting)


def test_judge_never_counts_what_a_removed_shard_traded_into_the_grid() -> None:
    """Neither a fill of the same slot and side, nor the ids that it used."""
    former = make_intent(-1, Side.BUY, shard=SHARD - 1, generation=9)
    (plain,) = judged(survey_of()).symbols
    (restored,) = judged(survey_of([(former, FILLED, ENTRY_LOTS), *HISTORY], base="0.2")).symbols
    assert restored.rebuilt.slots == plain.rebuilt.slots
    assert restored.inventory == plain.inventory
    assert len(restored.rebuilt.fills) == len(plain.rebuilt.fills)
    assert [order.tag for order in restored.former_traded] == [former.tag]


def test_judge_of_a_live_order_beside_its_level_names_it() -> None:
    beside = replace(make_intent(-3, Side.BUY), price_ticks=9_711)
    (restored,) = judged(survey_of([*HISTORY, (beside, OPEN, 0)])).symbols
    ((order, reason),) = restored.misfits
    assert order.order.record.report.client_order_id == beside.client_order_id
    assert reason == "its slot enters at 97.00"


def test_judge_of_another_mode_than_was_traded_refuses() -> None:
    refused = judged(survey_of(), make_spec(mode="short", base_inventory="1"))
    assert "slot -1 of ladder 0 holds 0.1" in problem_of(refused)
    assert f"order {EXIT.client_order_id} cannot be taken over" in problem_of(refused)


async def test_survey_looks_again_when_a_trade_comes_between_its_questions() -> None:
    """The balances must be those after the last of the trades."""

    class Busy(FakeExchange):
        async def fetch_balances(self) -> Mapping[str, Decimal]:
            told = await super().fetch_balances()
            if len(self.trades) < 2:
                self.trade(ENTRY.client_order_id, "0.05")
            return told

    exchange = Busy()
    exchange.set_price("99.49", "99.51", 5)
    exchange.orders[ENTRY.client_order_id] = make_report(ENTRY)

    seen = await survey_account(exchange, [SYMBOL])

    told = seen.symbols[SYMBOL]
    assert [trade.quantity for trade in told.trades] == [Decimal("0.05")] * 2
    assert seen.balances == exchange.balances
    assert [tag for _, tag in told.orders] == [ENTRY.tag]


async def test_survey_of_a_symbol_that_is_not_traded_is_refused() -> None:
    with pytest.raises(RequestRefused, match="XRP/USDT is not traded on account sim: see"):
        await survey_account(FakeExchange(), ["XRP/USDT"])


def test_judge_of_two_orders_on_one_side_of_a_slot_refuses() -> None:
    again = make_intent(-2, Side.BUY, generation=2)
    restoration = judged(survey_of([*HISTORY, (again, OPEN, 0)]))
    assert "2 orders rest for the buy of slot -2" in problem_of(restoration)


def test_judge_of_a_grid_that_was_closed_brings_it_back_paused() -> None:
    flatten = make_intent(-1, Side.SELL, generation=5, purpose=Purpose.FLATTEN)
    history = [*HISTORY[:-1], (EXIT, CANCELLED, 0), (flatten, FILLED, ENTRY_LOTS)]
    (restored,) = judged(survey_of(history)).symbols
    assert restored.desired is Desired.PAUSED
    assert restored.inventory == 0


def test_judge_of_a_contract_counts_what_its_trades_do_not_explain() -> None:
    linear = replace(BTC, kind=MarketKind.LINEAR)
    (restored,) = judged(survey_of(instrument=linear, position="0.3")).symbols
    assert restored.found_position == Decimal("0.2")


def test_judge_of_a_neutral_grid_parts_long_from_short_slots() -> None:
    short = make_intent(2, Side.SELL, purpose=Purpose.ENTRY)
    seen = survey_of([*HISTORY, (replace(short, price_ticks=10_300), OPEN, 0)])
    spec = make_spec(mode="neutral", base_inventory="0.1")
    (restored,) = judged(replace(seen, balances={"BTC": Decimal(1)}), spec).symbols
    assert restored.ladders[0][0].pivot == 0
    assert restored.misfits == ()


def test_judge_of_a_long_slot_above_a_short_one_refuses_neutral() -> None:
    short = make_intent(-3, Side.SELL, purpose=Purpose.ENTRY)
    seen = survey_of([*HISTORY, (short, CANCELLED, 0)])
    restoration = judged(seen, make_spec(mode="neutral", base_inventory="0.1"))
    assert "`mode` must have the short slots" in problem_of(restoration)


def test_judge_of_a_range_that_trailed_keeps_what_rests_inside_it() -> None:
    spec = make_spec(
        range={"kind": "fixed", "lower": "95", "upper": "98"},
        trailing={"up_to": "200"},
    )
    shifted = [
        (replace(make_intent(number, Side.BUY), price_ticks=9_500 + 100 * number), OPEN, 0)
        for number in range(2, 6)
    ]
    (restored,) = judged(survey_of(shifted), spec).symbols
    assert restored.phase.shift == 3
    assert restored.ladders[0][0].anchor == Decimal(95)


@pytest.mark.parametrize(
    ("mode", "side", "numbers", "start"),
    [
        pytest.param("long", Side.BUY, (2, 3), "102", id="bought what slots above are to sell"),
        pytest.param("short", Side.SELL, (-3, -4), "98", id="sold what slots below are to buy"),
    ],
)
def test_judge_of_an_initial_position_finds_where_the_grid_started(
    mode: str, side: Side, numbers: tuple[int, ...], start: str
) -> None:
    entry = make_intent(-1 if side is Side.BUY else 0, side, purpose=Purpose.ENTRY)
    taken = [
        (make_intent(number, side, purpose=Purpose.INITIAL), CANCELLED, 0) for number in numbers
    ]
    spec = make_spec(
        mode=mode, initial_position=True, base_inventory=None if mode == "long" else "0.1"
    )
    seen = replace(survey_of([(entry, OPEN, 0), *taken]), balances={"BTC": Decimal(1)})
    (restored,) = judged(seen, spec).symbols
    assert restored.start_price == Decimal(start)


def test_refuse_alive_of_an_order_placed_between_two_looks() -> None:
    before, after = survey_of(HISTORY[:-1]), survey_of(HISTORY)
    refuse_alive(after, after, NONCE)
    refuse_alive(before, after, NONCE + 1)
    with pytest.raises(RequestRefused, match="is alive: it has just placed"):
        refuse_alive(before, after, NONCE)
