"""A shard's parts with defaults that read well in tests: slots 1 quote apart around 100."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from domain.errors import KillSwitchEngaged, OwnershipLost
from domain.ids import ClientOrderId, OrderTag, Purpose, Side, SlotId, SymbolKey, VenueOrderId
from domain.instrument import Instrument
from domain.orders import Intent, Order, OrderReport, Trade, VenueStatus
from domain.plans import Cancel, CommittedPlan, Place, Plan
from grid.ladder import LadderVersion
from grid.phase import Phase, Stage
from grid.slots import Slot
from grid.spec import GridSpec
from ports.exchange import Capabilities
from ports.failpoints import Failpoint
from ports.store import Changes, Claim, Decision, Held, Loaded, Ownership, Status
from support.fake_exchange import BTC, HexIds
from symbol_manager.state import ShardState

NONCE = 7
SHARD = 3
OWNERSHIP = Ownership(SHARD, 1)
IDS = HexIds()
#: A whole entry: 0.1 BTC.
ENTRY_LOTS = 10_000

#: For what takes no real time at all, on a loaded machine.
PATIENCE_S = 10.0

CAPABILITIES = Capabilities(request_expiry_ms=1_000, clock_skew_ms=500)


@dataclass
class FakeClock:
    """Implements `ports.clock.Clock`; time passes only when it is told to."""

    ms: int = 1_000_000

    def now_ms(self) -> int:
        return self.ms

    def boot_ms(self) -> int:
        return self.ms


def make_spec(**changes: Any) -> GridSpec:
    document: dict[str, Any] = {
        "spacing": {"kind": "arithmetic", "step": "1"},
        "range": {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": "100"},
        "order_size": {"kind": "base", "amount": "0.1"},
        "budget_quote": "10000",
    }
    return GridSpec.model_validate(document | changes)


def make_phase(stage: Stage = Stage.RUNNING, **changes: Any) -> Phase:
    return Phase(stage=stage, **changes)


def make_claim(
    instrument: Instrument = BTC, spec: GridSpec | None = None, phase: Phase | None = None
) -> Claim:
    spec = spec or make_spec()
    return Claim(
        ownership=OWNERSHIP,
        key=SymbolKey("sim-BTC-USDT"),
        account="sim",
        symbol="BTC/USDT",
        spec=spec,
        ladders=(LadderVersion(version=0, anchor=Decimal(100), spacing=spec.spacing),),
        start_price=spec.trigger_price or Decimal(100),
        phase=phase or make_phase(),
        instrument=instrument,
        nonce=NONCE,
        reconciled_trade_id=None,
    )


def make_state(
    *,
    slots: Iterable[Slot] = (),
    orders: Iterable[Order] = (),
    settled_lots: Mapping[ClientOrderId, int] | None = None,
    parked: Iterable[Trade] = (),
    instrument: Instrument = BTC,
    spec: GridSpec | None = None,
    phase: Phase | None = None,
    paired_units: int = 0,
) -> ShardState:
    """A shard as loaded; what orders had filled is settled unless `settled_lots` says less."""
    loaded = list(orders)
    settled = {order.intent.client_order_id: order.filled_lots for order in loaded}
    settled |= settled_lots or {}
    parked = list(parked)
    return ShardState(
        make_claim(instrument, spec, phase),
        Loaded(
            slots={slot.id: slot for slot in slots},
            paired_units=paired_units,
            orders=loaded,
            settled={name: instrument.lots_to_quantity(lots) for name, lots in settled.items()},
            parked=parked,
            trade_ids=frozenset(trade.trade_id for trade in parked),
        ),
    )


def slot_id(number: int) -> SlotId:
    return SlotId(0, number)


def make_slot(number: int, lots: int = 0, **changes: Any) -> Slot:
    """A slot that bought its lots at its lower level, without fees."""
    fields: dict[str, Any] = {
        "id": slot_id(number),
        "inventory_units": lots * BTC.base_units_per_lot,
        "cost_units": BTC.notional_units(10_000 + 100 * number, lots),
        "buy_generation": 1,
    }
    return Slot(**fields | changes)


def make_intent(
    number: int = -1,
    side: Side = Side.BUY,
    lots: int = ENTRY_LOTS,
    *,
    purpose: Purpose | None = None,
    generation: int = 1,
    nonce: int = NONCE,
    shard: int = SHARD,
) -> Intent:
    """An order of a slot at its level: a long slot's entry or exit unless a purpose is given."""
    if purpose is None:
        purpose = Purpose.ENTRY if side is Side.BUY else Purpose.EXIT
    tag = OrderTag(
        nonce=nonce,
        shard=shard,
        slot=slot_id(number),
        purpose=purpose,
        side=side,
        generation=generation,
    )
    level = number if side is Side.BUY else number + 1
    return Intent(
        client_order_id=IDS.encode(tag),
        tag=tag,
        price_ticks=10_000 + 100 * level,
        quantity_lots=lots,
    )


def venue_id(intent: Intent) -> VenueOrderId:
    return VenueOrderId(f"v{intent.client_order_id}")


def make_report(
    intent: Intent, status: VenueStatus = VenueStatus.OPEN, filled: int = 0, **changes: Any
) -> OrderReport:
    report = OrderReport(
        symbol="BTC/USDT",
        client_order_id=intent.client_order_id,
        venue_order_id=venue_id(intent),
        status=status,
        filled=BTC.lots_to_quantity(filled),
        side=intent.side,
        price=BTC.ticks_to_price(intent.price_ticks),
        quantity=BTC.lots_to_quantity(intent.quantity_lots),
    )
    return replace(report, **changes)


def make_trade(intent: Intent, trade_id: str, lots: int, **changes: Any) -> Trade:
    """A fill of an order at its price; no fee unless asked for."""
    trade = Trade(
        symbol="BTC/USDT",
        trade_id=trade_id,
        venue_order_id=venue_id(intent),
        side=intent.side,
        price=BTC.ticks_to_price(intent.price_ticks),
        quantity=BTC.lots_to_quantity(lots),
        fee=Decimal(0),
        fee_asset="BNB",
        is_maker=True,
        traded_ms=0,
    )
    return replace(trade, **changes)


def placing(*intents: Intent) -> Plan:
    return Plan(places=tuple(Place(intent=intent, reason="test") for intent in intents))


def cancelling(*intents: Intent) -> Plan:
    return Plan(
        cancels=tuple(
            Cancel(
                client_order_id=intent.client_order_id,
                slot=intent.tag.slot,
                side=intent.side,
                reason="test",
            )
            for intent in intents
        )
    )


@dataclass
class RecordingStore:
    """Implements `ports.store.ShardStore` in memory, as far as one plan needs it."""

    current: Ownership = OWNERSHIP
    recorded: list[Changes] = field(default_factory=list)
    statuses: list[tuple[Status, str]] = field(default_factory=list)
    is_killed: bool = False
    #: Orders that left memory, as `find_order` finds them by either of their ids.
    forgotten: dict[ClientOrderId | VenueOrderId, tuple[Order, int]] = field(default_factory=dict)
    own_trades: dict[ClientOrderId, frozenset[str]] = field(default_factory=dict)
    held: Decimal = Decimal(0)
    held_in_contracts: Held = field(default_factory=lambda: Held(Decimal(0), Decimal(0)))

    async def claim(self, shard: int, workflow_id: str) -> Claim:
        return make_claim()

    async def load(self, claim: Claim) -> Loaded:
        return Loaded(
            slots={},
            paired_units=0,
            orders=(),
            settled={},
            parked=(),
            trade_ids=frozenset(),
        )

    async def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, Decimal] | None:
        if order_id not in self.forgotten:
            return None
        order, settled_lots = self.forgotten[order_id]
        return order, claim.instrument.lots_to_quantity(settled_lots)

    async def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        self._check(decision.ownership)
        if self.is_killed and decision.approved.plan.places:
            raise KillSwitchEngaged
        return CommittedPlan(
            decision_id=decision.decision_id,
            shard=decision.ownership.shard,
            epoch=decision.ownership.epoch,
            plan=decision.approved.plan,
        )

    async def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        return self.own_trades.get(client_order_id, frozenset())

    async def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        self._check(ownership)
        self.recorded.append(changes)

    async def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        self._check(ownership)
        self.statuses.append((status, reason))

    async def held_inventory(self, account: str, base: str) -> Decimal:
        return self.held

    async def held_position(self, account: str, symbol: str) -> Held:
        return self.held_in_contracts

    def _check(self, ownership: Ownership) -> None:
        if ownership != self.current:
            raise OwnershipLost("a newer epoch owns it")


async def until(is_so: Callable[[], bool]) -> None:
    """Let other tasks run until it is so, which takes no real time."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if is_so():
                return
            await asyncio.sleep(0)


@dataclass
class PassedFailpoints:
    """Implements `ports.failpoints.Failpoints`; nothing is armed."""

    points: list[Failpoint] = field(default_factory=list)

    def __call__(self, point: Failpoint) -> None:
        self.points.append(point)
