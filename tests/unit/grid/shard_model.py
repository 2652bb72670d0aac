"""A shard and its venue in miniature: the pure core, driven through faults without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from domain.ids import ClientOrderId, Side, SlotId, VenueOrderId
from domain.instrument import Instrument
from domain.orders import (
    Absent,
    Cancelled,
    Filled,
    Intended,
    Intent,
    Open,
    Order,
    OrderState,
    PartiallyFilled,
    Rejected,
    Trade,
    Unknown,
)
from domain.plans import Plan
from grid.desired import Stance, desired_orders
from grid.grid import Grid, SlotSide
from grid.plan import diff, live_by_slot
from grid.role import OPENING, Role
from grid.slots import Pair, Slot, apply_trade, record_intent
from grid.spec import GridSpec
from unit.grid.factories import INTENTS, make_book, make_trade

Answer = Literal["accepted", "unknown but accepted", "unknown and lost"]
#: The venue ended an order without filling it all.
END = "end"
Event = Trade | Literal["end"]


@dataclass
class ShardModel:
    spec: GridSpec
    instrument: Instrument
    start_price: Decimal
    fee_asset: str
    bid_ticks: int | None = 9_999
    ask_ticks: int | None = 10_001
    slots: dict[SlotId, Slot] = field(default_factory=dict)
    orders: dict[ClientOrderId, Order] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    #: What the delivered trades moved, in units: quote paid to open, quote brought by closing.
    quote_opened: int = 0
    quote_closed: int = 0
    base_held: int = 0
    late_fills: int = 0
    #: The venue's truth: lots that rest, and what it has not told yet.
    resting: dict[ClientOrderId, int] = field(default_factory=dict)
    cancels_on_the_way: list[ClientOrderId] = field(default_factory=list)
    untold: dict[ClientOrderId, list[Event]] = field(default_factory=dict)
    trades: int = 0

    def __post_init__(self) -> None:
        self.grid = self.rebuilt_grid()

    def rebuilt_grid(self) -> Grid:
        """The grid as after a restart: from what is persisted."""
        return Grid.fresh(self.spec, self.instrument, self.start_price)

    @property
    def live(self) -> dict[SlotSide, Order]:
        return live_by_slot(self.orders.values())

    def plan(self, live: Mapping[SlotSide, Order], stance: Stance = Stance.TRADE) -> Plan:
        book = make_book(self.bid_ticks, self.ask_ticks)
        desired = desired_orders(self.grid, self.slots, book, live, stance=stance)
        return diff(desired, live, self.slots, INTENTS)

    def tied_units(self, role: Role) -> int:
        """What inventory and live entries of a role tie up."""
        entries = (
            self.grid.cost_units(role, order.intent.price_ticks, order.remaining_lots)
            for (slot, side), order in self.live.items()
            if side is role.entry_side and self.grid.role_of(slot) is role
        )
        inventory = (
            slot.held_units if self.grid.sells_base(role) else role * slot.cost_units
            for slot in self.slots.values()
            if self.grid.role_of(slot.id) is role
        )
        return sum(inventory) + sum(entries)

    # What the shard does.

    def execute(self, plan: Plan, answer: Answer) -> None:
        for cancel in plan.cancels:
            order = self.orders[cancel.client_order_id]
            self.orders[cancel.client_order_id] = replace(order, cancel_requested=True)
            self.cancels_on_the_way.append(cancel.client_order_id)
        for place in plan.places:
            tag = place.intent.tag
            slot = self.slots.get(tag.slot, Slot(id=tag.slot))
            self.slots[tag.slot] = record_intent(slot, tag)
            self._submit(place.intent, answer)

    def resolve_unknown(self, key: ClientOrderId) -> None:
        """Look an order up: the venue knows it, or it never arrived."""
        order = self.orders[key]
        is_known = key in self.resting or key in self.untold
        state = Open(venue_id(key)) if is_known else Absent("not found after the grace")
        self.orders[key] = replace(order, state=state)

    def hear(self, key: ClientOrderId, *, end_first: bool = False) -> None:
        """Deliver the next event of an order; a venue may tell the end of an entry too early."""
        events = self.untold[key]
        is_entry = self.orders[key].intent.tag.purpose in OPENING
        is_late = end_first and events[-1] == END and is_entry
        event = events.pop(-1 if is_late else 0)
        self.late_fills += is_late and bool(events)
        if not events:
            del self.untold[key]
        if isinstance(event, Trade):
            self._apply(key, event)
        else:
            order = self.orders[key]
            ended = Cancelled(venue_id(key), order.filled_lots)
            self.orders[key] = replace(order, state=ended)

    # What the venue does.

    def move(self, bid_ticks: int | None, ask_ticks: int | None) -> None:
        self.bid_ticks, self.ask_ticks = bid_ticks, ask_ticks
        for key, lots in list(self.resting.items()):
            if self._crosses(self.orders[key].intent):
                self.fill(key, lots)

    def fill(self, key: ClientOrderId, lots: int) -> None:
        intent = self.orders[key].intent
        self.resting[key] -= lots
        if not self.resting[key]:
            del self.resting[key]
        self.trades += 1
        price = self.instrument.ticks_to_price(intent.price_ticks)
        quantity = self.instrument.lots_to_quantity(lots)
        in_base = intent.side is Side.BUY and self.fee_asset == self.instrument.base
        fee = (quantity if in_base else quantity * price) * self.instrument.maker_fee
        is_other = self.fee_asset == "BNB"
        asset = self.instrument.base if in_base else self.instrument.quote
        trade = make_trade(
            intent.side,
            str(price),
            str(quantity),
            fee=str(fee.quantize(Decimal("1E-8"), ROUND_DOWN)),
            fee_asset="BNB" if is_other else asset,
            trade_id=str(self.trades),
        )
        self.untold.setdefault(key, []).append(trade)

    def take_cancel(self) -> None:
        key = self.cancels_on_the_way.pop(0)
        if self.resting.pop(key, 0):
            self.untold.setdefault(key, []).append("end")

    def _submit(self, intent: Intent, answer: Answer) -> None:
        key = intent.client_order_id
        order = Order(intent=intent, state=Intended())
        crosses = self._crosses(intent)
        if answer != "unknown and lost" and not (crosses and intent.post_only):
            self.resting[key] = intent.quantity_lots
        if answer != "accepted":
            state: OrderState = Unknown("timeout")
        else:
            state = Open(venue_id(key)) if key in self.resting else Rejected("would cross")
        self.orders[key] = replace(order, state=state)
        if crosses and key in self.resting:
            self.fill(key, intent.quantity_lots)

    def _crosses(self, intent: Intent) -> bool:
        if intent.side is Side.BUY:
            return self.ask_ticks is not None and intent.price_ticks >= self.ask_ticks
        return self.bid_ticks is not None and intent.price_ticks <= self.bid_ticks

    def _apply(self, key: ClientOrderId, trade: Trade) -> None:
        order = self.orders[key]
        intent, lots = order.intent, self.instrument.quantity_to_lots(trade.quantity)
        filled = order.filled_lots + lots
        if filled == intent.quantity_lots:
            state: OrderState = Filled(venue_id(key), filled)
        elif isinstance(order.state, Cancelled):
            state = Cancelled(venue_id(key), filled)
        else:
            state = PartiallyFilled(venue_id(key), filled)
        self.orders[key] = replace(order, state=state)

        slot_id, purpose = intent.tag.slot, intent.tag.purpose
        exit_side = self.grid.role_of(slot_id).exit_side
        slot, pair = apply_trade(
            self.slots[slot_id],
            trade,
            purpose,
            self.instrument,
            exit_level_ticks=self.grid.exit_ticks(slot_id),
            exit_live=(slot_id, exit_side) in self.live,
        )
        self.slots[slot_id] = slot
        self.pairs += [pair] if pair else []
        self._book_flows(trade, opens=purpose in OPENING)

    def _book_flows(self, trade: Trade, *, opens: bool) -> None:
        sign = 1 if trade.side is Side.BUY else -1
        fee = int(trade.fee.scaleb(8))
        self.base_held += sign * self.instrument.base_to_units(trade.quantity)
        self.base_held -= fee if trade.fee_asset == self.instrument.base else 0
        paid = sign * self.instrument.quote_to_units(trade.quantity * trade.price)
        paid += fee if trade.fee_asset == self.instrument.quote else 0
        if opens:
            self.quote_opened += paid
        else:
            self.quote_closed -= paid


def venue_id(key: ClientOrderId) -> VenueOrderId:
    return VenueOrderId(f"v-{key}")


def after(live: Mapping[SlotSide, Order], plan: Plan) -> dict[SlotSide, Order]:
    """What is live once a plan did all that it says."""
    gone = {cancel.client_order_id for cancel in plan.cancels}
    kept = {key: order for key, order in live.items() if order.intent.client_order_id not in gone}
    placed = (place.intent for place in plan.places)
    return kept | {
        (intent.tag.slot, intent.side): Order(
            intent=intent, state=Open(venue_id(intent.client_order_id))
        )
        for intent in placed
    }
