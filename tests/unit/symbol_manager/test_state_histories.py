"""However the events of an order's life are told, the shard ends up knowing the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.ids import Side
from domain.orders import (
    Intent,
    OrderReport,
    Trade,
    VenueStatus,
)
from grid.slots import Pair
from ports.store import Changes, Fill, Origin
from support.fake_exchange import BTC
from symbol_manager.state import ShardState
from unit.symbol_manager.factories import (
    ENTRY_LOTS,
    make_intent,
    make_report,
    make_slot,
    make_state,
    make_trade,
    placing,
    slot_id,
)

ENTRY = make_intent(-1, Side.BUY)
EXIT = make_intent(-1, Side.SELL)
#: A venue without a smallest order, so that any residue of a lot can still be sold.
FINE = replace(BTC, min_notional=Decimal("0.001"))

Event = OrderReport | Trade


def absorb(state: ShardState, *events: Event) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case OrderReport():
                state.absorb_report(event, changes)
            case Trade():
                state.absorb_trade(event, changes)
    return changes


@dataclass(frozen=True)
class Life:
    """An order's events as they happened, and as they may come in."""

    happened: list[Event]
    told: list[Event]


@st.composite
def lives(draw: st.DrawFn, intent: Intent, *, is_filled: bool) -> Life:
    """Cuts an order's fills at random; fees are in quote, so that no dust is left."""
    cuts = draw(st.sets(st.integers(1, intent.quantity_lots), max_size=5))
    ends = sorted(cuts | {intent.quantity_lots} if is_filled else cuts)
    events: list[Event] = [make_report(intent)]
    filled = 0
    for end in ends:
        fee = BTC.units_to_quote(end - filled)
        trade = make_trade(
            intent, f"{intent.side}-{end}", end - filled, fee=fee, fee_asset=BTC.quote
        )
        events += [make_report(intent, filled=end), trade]
        filled = end
    status = VenueStatus.FILLED if filled == intent.quantity_lots else VenueStatus.CANCELLED
    events.append(make_report(intent, status, filled))
    repeated = draw(st.lists(st.sampled_from(events), max_size=5))
    return Life(events, draw(st.permutations(events + repeated)))


@st.composite
def round_trips(draw: st.DrawFn) -> tuple[Life, Life]:
    """An entry that may be cancelled, and an exit of what it bought that is filled."""
    entry = draw(lives(ENTRY, is_filled=draw(st.booleans())).filter(_bought_a_lot))
    held = _run([entry.happened]).state.slot(slot_id(-1))
    lots = FINE.tradable_lots(held.inventory_units)
    return entry, draw(lives(make_intent(-1, Side.SELL, lots), is_filled=True))


def _bought_a_lot(life: Life) -> bool:
    held = _run([life.happened]).state.slot(slot_id(-1))
    return FINE.tradable_lots(held.inventory_units) > 0


@dataclass
class Run:
    state: ShardState
    fills: dict[str, Fill]
    pairs: list[Pair]


def _run(phases: Sequence[Sequence[Event]]) -> Run:
    """Tell a shard one order's events after the other's."""
    run = Run(make_state(instrument=FINE), {}, [])
    for events in phases:
        side = next(event.side for event in events)
        held = FINE.tradable_lots(run.state.slot(slot_id(-1)).inventory_units)
        lots = ENTRY_LOTS if side is Side.BUY else held
        run.state.intend(placing(make_intent(-1, side, lots)))
        changes = absorb(run.state, *events)
        run.fills |= changes.fills
        run.pairs += [closed.pair for closed in changes.pairs]
    return run


@given(round_trips())
def test_absorb_any_telling_of_a_round_trip_gives_the_same(trip: tuple[Life, Life]) -> None:
    happened = _run([life.happened for life in trip])
    told = _run([life.told for life in trip])
    assert told.state.slots == happened.state.slots
    assert told.fills == happened.fills
    assert told.pairs == happened.pairs
    assert len(told.pairs) == 1
    assert {fill.origin for fill in told.fills.values()} == {Origin.OWN}
    assert not told.state.active_orders()
    assert not told.state.parked


@given(lives(EXIT, is_filled=False))
def test_absorb_any_telling_of_a_cut_exit_conserves_base_and_quote(life: Life) -> None:
    """The share of the cost is rounded at each sale, so its split may differ by units."""
    slots = []
    for events in (life.happened, life.told):
        held = make_slot(-1, ENTRY_LOTS, cost_units=BTC.notional_units(9_900, ENTRY_LOTS) + 7)
        state = make_state(slots=[held], instrument=FINE)
        state.intend(placing(EXIT))
        changes = absorb(state, *events)
        slot = state.slot(slot_id(-1))
        pairs = [closed.pair for closed in changes.pairs]
        slots.append(
            (
                slot.inventory_units,
                slot.closed_units + sum(pair.quantity_units for pair in pairs),
                slot.proceeds_units + sum(pair.proceeds_units for pair in pairs),
                slot.cost_units + slot.closed_cost_units + sum(pair.cost_units for pair in pairs),
            )
        )
    assert slots[0] == slots[1]
