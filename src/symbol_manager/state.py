"""What a shard knows of its orders and slots, and how venue events change it.

Pure bookkeeping in memory: every method returns the `Changes` that make Postgres agree. The caller
commits them, and forgets this state if that fails.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

from domain.errors import InvariantViolation
from domain.ids import ClientOrderId, SlotId, VenueOrderId
from domain.instrument import Instrument, Rounding
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Open,
    Order,
    OrderReport,
    OrderState,
    PartiallyFilled,
    Rejected,
    Sent,
    Trade,
    Unknown,
    VenueStatus,
    merge_report,
)
from domain.plans import Plan
from grid.grid import Grid, SlotSide
from grid.ladder import LadderVersion
from grid.phase import Phase
from grid.plan import live_by_slot
from grid.profit import total_profit
from grid.role import OPENING
from grid.slots import Slot, apply_trade, record_intent
from ports.store import Changes, Claim, ClosedPair, Fill, Finding, Loaded, Origin

#: Finished orders kept in memory, for reports that come late.
REMEMBERED_ORDERS = 1_000


class ShardState:
    """Orders, slots and trades of one shard; a single coroutine owns it."""

    def __init__(self, claim: Claim, loaded: Loaded) -> None:
        self.claim = claim
        self.phase = claim.phase
        self.grid = _grid_of(claim, claim.ladders, claim.phase)
        self.slots: dict[SlotId, Slot] = dict(loaded.slots)
        self._ladders = claim.ladders
        self._paired_units = loaded.paired_units
        #: Orders that may rest at the venue, or whose trades are not all known.
        self._active: dict[ClientOrderId, Order] = {}
        self._finished: OrderedDict[ClientOrderId, Order] = OrderedDict()
        #: Base that booked trades account for, exactly.
        self._settled: dict[ClientOrderId, Decimal] = {}
        self._by_venue_id: dict[VenueOrderId, ClientOrderId] = {}
        self._parked: dict[VenueOrderId, list[Trade]] = {}
        self._trade_ids = set(loaded.trade_ids)
        #: Own orders that rest although their slot and side went on without them.
        self._strays: dict[ClientOrderId, Order] = {}
        for order in loaded.orders:
            self.remember(order, loaded.settled[order.intent.client_order_id])
        for trade in loaded.parked:
            self._parked.setdefault(trade.venue_order_id, []).append(trade)

    def remember(self, order: Order, settled: Decimal) -> None:
        """Take in an order read from Postgres, with the base that its booked trades come to."""
        self._settled[order.intent.client_order_id] = settled
        venue_order_id = venue_order_id_of(order)
        if venue_order_id:
            self._by_venue_id[venue_order_id] = order.intent.client_order_id
        self._file(order)

    def intend(self, plan: Plan) -> None:
        """Take in a plan that Postgres has committed."""
        for cancel in plan.cancels:
            self._file(replace(self.order(cancel.client_order_id), cancel_requested=True))
        for place in plan.places:
            intent = place.intent
            self.remember(Order(intent=intent, state=Intended()), Decimal(0))
            slot = record_intent(self.slot(intent.tag.slot), intent.tag)
            self.slots[slot.id] = slot

    def enter(self, phase: Phase) -> None:
        """Take in a phase that Postgres has committed."""
        self.phase = phase
        self.grid = _grid_of(self.claim, self._ladders, phase)

    def climb(self, ladder: LadderVersion) -> None:
        """Take in a new ladder that Postgres has committed."""
        others = [known for known in self._ladders if known.version != ladder.version]
        self._ladders = (*others, ladder)
        self.grid = _grid_of(self.claim, self._ladders, self.phase)

    @property
    def ladder(self) -> LadderVersion:
        """The current one."""
        return self._ladders[-1]

    def ladders_in_use(self) -> set[int]:
        """Versions whose slots hold more than dust or have orders that may rest.

        Dust nearly always stays behind where the fee of a buy is taken from the base: it waits for
        the slot's next exit, whatever its levels are then. Unless an edit moved the pivot since, so
        that the slot would trade the other way round.
        """
        held = {slot.id.version for slot in self.slots.values() if self._keeps_ladder(slot)}
        orders = {order.intent.tag.slot.version for order in self._active.values()}
        strays = {order.intent.tag.slot.version for order in self._strays.values()}
        return held | orders | strays

    def _keeps_ladder(self, slot: Slot) -> bool:
        if not slot.held_units:
            return False
        now, then = slot.id, SlotId(self.ladder.version, slot.id.number)
        is_turned = self.grid.role_of(now) is not self.grid.role_of(then)
        return is_turned or not self.grid.is_dust(slot.id, slot.held_units)

    def profit_units(self, mark_ticks: int) -> int:
        """Total profit in quote units at a mark price."""
        profit = total_profit(
            self._paired_units, self.slots.values(), self.claim.instrument, mark_ticks
        )
        return profit.total_units

    def grid_under(self, instrument: Instrument) -> Grid:
        """The grid as other trading rules would have it; `ConfigurationError` if they forbid it."""
        return _grid_of(replace(self.claim, instrument=instrument), self._ladders, self.phase)

    def slot(self, slot_id: SlotId) -> Slot:
        return self.slots.get(slot_id) or Slot(id=slot_id)

    def order(self, client_order_id: ClientOrderId) -> Order:
        found = self._active.get(client_order_id) or self._finished.get(client_order_id)
        if found is None:
            raise InvariantViolation(f"order {client_order_id} is not known")
        return found

    def knows(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._active or client_order_id in self._finished

    def live_orders(self) -> dict[SlotSide, Order]:
        """By slot and side; there is never more than one."""
        return live_by_slot(self._active.values())

    def unsettled(self) -> dict[SlotSide, Order]:
        """Ended orders whose trades are not all known yet: their slots must not act."""
        return {slot_side(order): order for order in self._active.values() if not order.is_live}

    def ahead_of_trades(self) -> list[SlotSide]:
        """Slot-sides of live orders whose reports show more filled than trades are known."""
        return [
            slot_side(order)
            for order in self._active.values()
            if order.is_live and self._settled_lots(order) < order.filled_lots
        ]

    def unsettled_lots(self, order: Order) -> int:
        """What may still be filled of an order, or was filled by trades not known yet."""
        return order.remaining_lots + order.filled_lots - self._settled_lots(order)

    def lacks_trades_of(self, report: OrderReport) -> bool:
        """Whether more, or less, of a known order is filled than booked trades account for."""
        return report.filled != self._settled[report.client_order_id]

    def active_orders(self) -> list[Order]:
        """Live and unsettled ones."""
        return list(self._active.values())

    def has_entries(self) -> bool:
        """Whether an order that opens may rest."""
        return any(order.intent.tag.purpose in OPENING for order in self._active.values())

    @property
    def parked(self) -> Mapping[VenueOrderId, list[Trade]]:
        return self._parked

    @property
    def strays(self) -> Mapping[ClientOrderId, Order]:
        """To be cancelled on sight."""
        return self._strays

    def mark_stray(self, client_order_id: ClientOrderId) -> None:
        """The venue shows it as open although it has ended here."""
        self._strays.setdefault(client_order_id, self.order(client_order_id))

    def mark_sent(self, plan: Plan) -> None:
        """The plan's orders are being handed to the socket; Postgres still says intended."""
        for place in plan.places:
            self._file(replace(self.order(place.intent.client_order_id), state=Sent()))

    def set_state(self, client_order_id: ClientOrderId, state: OrderState, into: Changes) -> None:
        """An order's fate as the shard itself determined it, such as unknown or absent."""
        order = replace(self.order(client_order_id), state=state, cancel_requested=False)
        self._keep(order, into)

    def retry_cancel(self, client_order_id: ClientOrderId, into: Changes) -> None:
        """A cancel provably had no effect: it may be asked for again."""
        order = replace(self.order(client_order_id), cancel_requested=False)
        self._keep(order, into)

    def absorb_report(self, report: OrderReport, into: Changes) -> None:
        """Fold in a statement about a known order.

        Raises
        ------
        InvariantViolation
            If the venue's order is not the one that was intended.
        """
        order = self.order(report.client_order_id)
        if report.side is not order.intent.side:
            raise InvariantViolation(f"order {report.client_order_id} is a {report.side} there")
        filled = self._lots(order, report.filled)
        merged = merge_report(order, report.status, report.venue_order_id, filled)
        self._by_venue_id[report.venue_order_id] = report.client_order_id
        if not order.is_live and merged.is_live:
            merged = self._returned(order, merged, report, into)
        if report.status is not VenueStatus.OPEN:
            self._strays.pop(report.client_order_id, None)
        if merged != order:
            self._keep(merged, into)
        self.settle_parked(report.venue_order_id, into)

    def settle_parked(self, venue_order_id: VenueOrderId, into: Changes) -> None:
        """Book the parked trades of an order that is known now."""
        for trade in self._parked.pop(venue_order_id, []):
            self._settle(trade, self._by_venue_id[venue_order_id], into)

    def absorb_trade(self, trade: Trade, into: Changes) -> None:
        """Book a trade once; park it while its order is not known."""
        if trade.trade_id in self._trade_ids:
            return
        self._trade_ids.add(trade.trade_id)
        client_order_id = self._by_venue_id.get(trade.venue_order_id)
        if client_order_id is None:
            self._parked.setdefault(trade.venue_order_id, []).append(trade)
            into.fills[trade.trade_id] = Fill(trade=trade, origin=Origin.PARKED)
            return
        self._settle(trade, client_order_id, into)

    def claim_trade(self, trade: Trade, client_order_id: ClientOrderId, into: Changes) -> None:
        """Book a trade that was recorded as somebody else's to the order it belongs to."""
        self._trade_ids.add(trade.trade_id)
        self._settle(trade, client_order_id, into)

    def declare_external(self, venue_order_ids: Iterable[VenueOrderId], into: Changes) -> None:
        """These parked trades belong to a person: no order of ours is unaccounted for."""
        for venue_order_id in venue_order_ids:
            for trade in self._parked.pop(venue_order_id):
                into.fills[trade.trade_id] = Fill(trade=trade, origin=Origin.EXTERNAL)
                into.findings.append(
                    Finding(
                        kind="external_trade",
                        subject=trade.trade_id,
                        detail={
                            "side": trade.side.value,
                            "price": str(trade.price),
                            "quantity": str(trade.quantity),
                        },
                    )
                )

    def _returned(self, order: Order, merged: Order, report: OrderReport, into: Changes) -> Order:
        """An order that was taken for ended rests after all: adopt it, or mark it for the end.

        Where its slot and side have another order by now, or it was made under trading rules whose
        steps are no longer in force, it stays ended here, and is cancelled.
        """
        into.findings.append(
            Finding(
                kind="stray",
                subject=report.client_order_id,
                detail={"status": report.status.value, "was": order.status.value},
            )
        )
        if order.rules is None and slot_side(order) not in self.live_orders():
            return merged
        self._strays[report.client_order_id] = merged
        return replace(merged, state=Cancelled(report.venue_order_id, merged.filled_lots))

    def _settle(self, trade: Trade, client_order_id: ClientOrderId, into: Changes) -> None:
        order = self.order(client_order_id)
        tag = order.intent.tag
        into.fills[trade.trade_id] = Fill(
            trade=trade, origin=Origin.OWN, client_order_id=client_order_id
        )
        self._settled[client_order_id] += trade.quantity
        # A trade says how much was filled, not that the order rests.
        status = VenueStatus.OPEN if order.is_live else VenueStatus.CANCELLED
        merged = merge_report(order, status, trade.venue_order_id, self._settled_lots(order))
        self._keep(merged, into)
        exit_side = (tag.slot, self.grid.role_of(tag.slot).exit_side)
        slot, pair = apply_trade(
            self.slot(tag.slot),
            trade,
            tag.purpose,
            self.claim.instrument,
            exit_level_ticks=self.grid.exit_ticks(tag.slot),
            exit_live=any(slot_side(live) == exit_side for live in self._active.values()),
        )
        self.slots[slot.id] = slot
        into.slots[slot.id] = slot
        if pair is not None:
            self._paired_units += pair.profit_units
            into.pairs.append(ClosedPair(pair, trade))

    def _settled_lots(self, order: Order) -> int:
        return self._lots(order, self._settled[order.intent.client_order_id])

    def _lots(self, order: Order, quantity: Decimal) -> int:
        """Whole lots of the rules the order was made under.

        A part of one is filled only where the venue made its lot finer while the order rested; the
        trade books it exactly.
        """
        if not quantity:
            return 0  # as of most orders at any time: a decision asks it of all
        rules = order.rules or self.claim.instrument
        return rules.quantity_to_lots(quantity, Rounding.FLOOR)

    def _keep(self, order: Order, into: Changes) -> None:
        into.orders[order.intent.client_order_id] = order
        self._file(order)

    def _file(self, order: Order) -> None:
        client_order_id = order.intent.client_order_id
        is_settled = self._settled_lots(order) >= order.filled_lots
        if order.is_live or not is_settled:
            self._active[client_order_id] = order
            self._finished.pop(client_order_id, None)
            return
        self._active.pop(client_order_id, None)
        self._finished[client_order_id] = order
        while len(self._finished) > REMEMBERED_ORDERS:
            forgotten, old = self._finished.popitem(last=False)
            del self._settled[forgotten]
            self._by_venue_id.pop(venue_order_id_of(old) or VenueOrderId(""), None)


def _grid_of(claim: Claim, ladders: Sequence[LadderVersion], phase: Phase) -> Grid:
    grid = Grid.of(claim.spec, claim.instrument, ladders, claim.start_price)
    return grid.shifted(phase.shift)


def slot_side(order: Order) -> SlotSide:
    return order.intent.tag.slot, order.intent.tag.side


def venue_order_id_of(order: Order) -> VenueOrderId | None:
    match order.state:
        case Open() | PartiallyFilled() | Filled() | Cancelled():
            return order.state.venue_order_id
        case Intended() | Sent() | Unknown() | Rejected() | Absent():
            return None
        case never:
            assert_never(never)
