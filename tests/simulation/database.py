"""The transactions of `store/repository.py` in memory.

What Postgres enforces is enforced here: keys, the one live order a slot and side, the epoch, the
kill switch, and that a transaction which fails leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

from domain.contracts import Income
from domain.errors import InvariantViolation, KillSwitchEngaged, OwnershipLost
from domain.ids import ClientOrderId, Side, VenueOrderId
from domain.instrument import Instrument, MarketKind
from domain.orders import Intended, Order
from domain.plans import CommittedPlan, Place
from grid.ladder import LadderVersion
from grid.slots import Slot
from ports.store import (
    Changes,
    Claim,
    Decision,
    Desired,
    Fill,
    Held,
    Loaded,
    Origin,
    Ownership,
    Status,
)
from simulation.requests import Requests
from simulation.tables import (
    FillRow,
    IntegrityError,
    LadderRow,
    LiveKey,
    OrderRow,
    PairRow,
    Progress,
    ShardRow,
)
from store.rows import ledger_values
from symbol_manager.state import venue_order_id_of


class Database(Requests):
    """What `ports.store.ShardStore` offers; each public method is one transaction."""

    def claim(self, executor: str, shard: int, workflow_id: str) -> Claim:
        self._expect_free(shard)
        with self._transaction():
            row = self.shards.get(shard)
            if (
                row is None
                or row.status is Status.REMOVED
                or executor not in self.nodes
                or (row.owner not in {None, executor} and row.owner in self.nodes)
                or (row.workflow_id, row.progress, row.executor)
                != (workflow_id, Progress.PENDING, executor)
            ):
                raise OwnershipLost(f"shard {shard} is removed or run by another node")
            status = Status.REMOVING if row.status is Status.REMOVING else Status.STARTING
            row = replace(
                row,
                epoch=row.epoch + 1,
                owner=executor,
                taken_version=row.spec_version,
                status=status,
                reason="comparing with the exchange",
            )
            self._put(self.shards, shard, row)
            return self.claim_of(row)

    def claim_of(self, row: ShardRow) -> Claim:
        """A shard as its owner knows it."""
        return Claim(
            ownership=Ownership(row.shard, row.epoch),
            key=row.key,
            account=row.account,
            symbol=row.symbol,
            spec=row.spec,
            spec_version=row.spec_version,
            ladders=self._ladders_of(row),
            start_price=row.start_price,
            phase=row.phase,
            instrument=row.instrument,
            nonce=self.nonce,
            reconciled_trade_id=row.reconciled_trade_id,
        )

    def load(self, claim: Claim) -> Loaded:
        self._check_owned(claim.ownership)
        shard = claim.ownership.shard
        unfinished = [
            row
            for row in self.orders.values()
            if row.intent.tag.shard == shard and not row.is_settled
        ]
        fills = [row.fill for row in self.fills.values() if row.shard == shard]
        return Loaded(
            slots={slot_id: slot for (of, slot_id), slot in self.slots.items() if of == shard},
            paired_units=sum(
                row.pair.profit_units for row in self.pairs.values() if row.shard == shard
            ),
            orders=[_read_back(row, claim.instrument) for row in unfinished],
            settled={
                row.intent.client_order_id: self._settled(row.intent.client_order_id)
                for row in unfinished
            },
            parked=[fill.trade for fill in fills if fill.origin is Origin.PARKED],
            trade_ids=frozenset(
                trade_id
                for account, symbol, trade_id in self.fills
                if (account, symbol) == (claim.account, claim.symbol)
            ),
        )

    def find_order(
        self, claim: Claim, order_id: ClientOrderId | VenueOrderId
    ) -> tuple[Order, Decimal] | None:
        self._check_owned(claim.ownership)
        venue_key = claim.ownership.shard, cast("VenueOrderId", order_id)
        name = self._by_venue_id.get(venue_key, cast("ClientOrderId", order_id))
        row = self.orders.get(name)
        if row is None or row.intent.tag.shard != claim.ownership.shard:
            return None
        return _read_back(row, claim.instrument), self._settled(name)

    def commit_decision(self, decision: Decision, instrument: Instrument) -> CommittedPlan:
        plan = decision.approved.plan
        with self._transaction():
            self._check_owned(decision.ownership)
            self._expect_free(decision.ownership.shard)
            if plan.places and self.is_killed:
                raise KillSwitchEngaged(f"decision {decision.decision_id} places orders")
            self._insert(self.decisions, decision.decision_id, decision)
            for place in plan.places:
                self._intend(decision, place)
            for cancel in plan.cancels:
                row = self.orders.get(cancel.client_order_id)
                if row is not None:
                    order = replace(row.order, cancel_requested=True)
                    self._put(self.orders, cancel.client_order_id, replace(row, order=order))
        return CommittedPlan(
            decision_id=decision.decision_id,
            shard=decision.ownership.shard,
            epoch=decision.ownership.epoch,
            plan=plan,
        )

    @property
    def quiet_ms(self) -> int:
        """Since when no order was committed, which may be on its way yet."""
        last_ms = max((row.committed_ms for row in self.orders.values()), default=0)
        return self._now_ms() - last_ms

    def own_trade_ids(self, client_order_id: ClientOrderId) -> frozenset[str]:
        return frozenset(trade_id for _, _, trade_id in self._trades_of.get(client_order_id, ()))

    def record(self, ownership: Ownership, instrument: Instrument, changes: Changes) -> None:
        shard = ownership.shard
        with self._transaction():
            self._check_owned(ownership, changes.spec_version)
            self._expect_free(shard)
            for fill in changes.fills.values():
                self._record_fill(FillRow(fill=fill, account=instrument.account, shard=shard))
                self._book(fill, instrument)
            for order in sorted(changes.orders.values(), key=lambda order: order.is_live):
                self._update_order(order, instrument)
            for slot in changes.slots.values():
                self._record_slot(shard, slot)
            for closed in changes.pairs:
                pair = PairRow(pair=closed.pair, shard=shard)
                self._insert(self.pairs, (shard, closed.trade.trade_id), pair)
            for finding in changes.findings:
                key = shard, finding.kind, finding.subject
                if key not in self.findings:
                    self._put(self.findings, key, finding)
            if changes.ladder:
                made = LadderRow(changes.ladder, self._now_ms())
                self._put(self.ladders, (shard, changes.ladder.version), made)
                row = replace(self.shards[shard], ladder_version=changes.ladder.version)
                self._put(self.shards, shard, row)
            if changes.instrument:
                self._follow(shard, changes.instrument)
            if changes.phase:
                row = replace(self.shards[shard], phase=changes.phase)
                self._put(self.shards, shard, row)
            if changes.position:
                self._put(self.positions, shard, changes.position)
            if changes.is_reconciled:
                row = self.shards[shard]
                trade_id = changes.reconciled_trade_id or row.reconciled_trade_id
                row = replace(row, reconciled_trade_id=trade_id, reconciled_ms=self._now_ms())
                self._put(self.shards, shard, row)

    def set_status(self, ownership: Ownership, status: Status, reason: str) -> None:
        with self._transaction():
            self._check_owned(ownership)
            self._expect_free(ownership.shard)
            row = self.shards[ownership.shard]
            if status is Status.REMOVED and row.desired not in {Desired.CLOSED, Desired.REMOVED}:
                raise OwnershipLost(f"shard {ownership.shard} is not to be removed")
            row = replace(row, status=status, reason=reason)
            ended_ms = self._now_ms() if status is Status.REMOVED else None
            self._put(self.shards, ownership.shard, replace(row, ended_ms=ended_ms))

    def held_inventory(self, account: str, base: str) -> Decimal:
        held = Decimal(0)
        for shard, row in self.shards.items():
            instrument = row.instrument
            if (
                (row.account, instrument.base) == (account, base)
                and row.status is not Status.REMOVED
                and instrument.kind is MarketKind.SPOT
            ):
                units = sum(
                    slot.inventory_units for (of, _), slot in self.slots.items() if of == shard
                )
                held += instrument.units_to_base(units) + (row.spec.base_inventory or Decimal(0))
        return held

    def held_position(self, account: str, symbol: str) -> Held:
        live = others = Decimal(0)
        for shard, row in self.shards.items():
            if (row.account, row.symbol) != (account, symbol):
                continue
            units = sum(slot.inventory_units for (of, _), slot in self.slots.items() if of == shard)
            held = row.instrument.units_to_base(units)
            if row.status is Status.REMOVED:
                others += held
            else:
                live += held
        for (of, at, _), fill in self.fills.items():
            if (of, at) == (account, symbol) and fill.fill.origin is not Origin.OWN:
                trade = fill.fill.trade
                others += trade.quantity if trade.side is Side.BUY else -trade.quantity
        return Held(live, others)

    def ask_income_from_ms(self) -> int | None:
        return min((opening.income_ms for opening in self.openings.values()), default=None)

    def book_income(self, account: str, found: Sequence[Income]) -> int:
        booked = 0
        with self._transaction():
            for income in found:
                opening = self.openings.get(income.asset)
                key = account, income.symbol, income.transaction_id, income.asset, income.kind.value
                if opening is None or income.booked_ms <= opening.income_ms or key in self.ledger:
                    continue
                self._put(self.ledger, key, income.amount)
                booked += 1
        return booked

    # Below here: one table each, inside a transaction.

    def _ladders_of(self, row: ShardRow) -> tuple[LadderVersion, ...]:
        """All versions, the current one last."""
        ladders = [made.ladder for (shard, _), made in self.ladders.items() if shard == row.shard]
        ladders.sort(key=lambda ladder: (ladder.version == row.ladder_version, ladder.version))
        return tuple(ladders)

    def _follow(self, shard: int, rules: Instrument) -> None:
        row = self.shards[shard]
        versions = [v for a, s, v in self.instruments if (a, s) == (row.account, row.symbol)]
        made = replace(rules, version=max(versions) + 1)
        self._insert(self.instruments, (row.account, row.symbol, made.version), made)
        self._put(self.shards, shard, replace(row, instrument=made))

    def _intend(self, decision: Decision, place: Place) -> None:
        intent, shard = place.intent, decision.ownership.shard
        tag = intent.tag
        live_key = shard, tag.slot, tag.side
        self._insert(self._generations, (live_key, tag.generation), intent.client_order_id)
        order = Order(intent=intent, state=Intended())
        made_under = self.shards[shard].instrument
        row = OrderRow(
            intent=intent, order=order, committed_ms=self._now_ms(), made_under=made_under
        )
        self._insert(self.orders, intent.client_order_id, row)
        self._take_place(live_key, intent.client_order_id)
        slot_key = shard, tag.slot
        slot = self.slots.get(slot_key) or Slot(id=tag.slot)
        if tag.side is Side.BUY:
            slot = replace(slot, buy_generation=max(slot.buy_generation, tag.generation))
        else:
            slot = replace(slot, sell_generation=max(slot.sell_generation, tag.generation))
        self._put(self.slots, slot_key, slot)

    def _record_fill(self, row: FillRow) -> None:
        fill, trade = row.fill, row.fill.trade
        is_own = fill.origin is Origin.OWN
        if is_own is not (fill.client_order_id is not None):
            raise IntegrityError("fills: own")
        if is_own and fill.client_order_id not in self.orders:
            raise IntegrityError("fills: client_order_id")
        key = row.account, trade.symbol, trade.trade_id
        before = self.fills.get(key)
        if before is not None:
            was = before.fill.origin
            if was is not Origin.PARKED and not (was is Origin.EXTERNAL and is_own):
                raise InvariantViolation(f"trade {trade.trade_id} is already recorded")
            kept = replace(before.fill, origin=fill.origin, client_order_id=fill.client_order_id)
            row = replace(before, fill=kept)
        self._put(self.fills, key, row)
        if fill.client_order_id is not None:
            trades = self._trades_of.get(fill.client_order_id, ())
            self._put(self._trades_of, fill.client_order_id, (*trades, key))

    def _book(self, fill: Fill, instrument: Instrument) -> None:
        for entry in ledger_values(fill.trade, instrument):
            names = ("account", "symbol", "trade_id", "asset", "kind")
            account, symbol, trade_id, asset, kind = (str(entry[name]) for name in names)
            key = account, symbol, trade_id, asset, kind
            if key not in self.ledger:
                self._put(self.ledger, key, cast("Decimal", entry["amount"]))

    def _update_order(self, order: Order, instrument: Instrument) -> None:
        name = order.intent.client_order_id
        row = self.orders.get(name)
        if row is None:
            return
        if not 0 <= order.filled_lots <= row.intent.quantity_lots:
            raise IntegrityError("orders: filled")
        tag = row.intent.tag
        live_key = tag.shard, tag.slot, tag.side
        if order.is_live:
            self._take_place(live_key, name)
        elif self._live.get(live_key) == name:
            self._put(self._live, live_key, None)
        venue_order_id = venue_order_id_of(order) or row.venue_order_id
        if venue_order_id is not None:
            self._put(self._by_venue_id, (tag.shard, venue_order_id), name)
        filled = (order.rules or instrument).lots_to_quantity(order.filled_lots)
        row = replace(
            row,
            order=replace(order, intent=row.intent),
            venue_order_id=venue_order_id,
            is_settled=not order.is_live and filled <= self._settled(name),
        )
        self._put(self.orders, name, row)

    def _record_slot(self, shard: int, slot: Slot) -> None:
        key = shard, slot.id
        before = self.slots.get(key)
        if before is not None:
            slot = replace(
                slot,
                buy_generation=before.buy_generation,
                sell_generation=before.sell_generation,
            )
        self._put(self.slots, key, slot)

    def _take_place(self, key: LiveKey, name: ClientOrderId) -> None:
        if self._live.get(key) not in {None, name}:
            raise IntegrityError("orders_one_live_per_slot_side")
        self._put(self._live, key, name)

    def _settled(self, name: ClientOrderId) -> Decimal:
        trades = self._trades_of.get(name, ())
        return sum((self.fills[key].fill.trade.quantity for key in trades), Decimal(0))

    def _check_owned(self, ownership: Ownership, spec_version: int | None = None) -> None:
        row = self.shards.get(ownership.shard)
        if (
            row is None
            or row.epoch != ownership.epoch
            or spec_version not in {None, row.spec_version}
        ):
            raise OwnershipLost(f"shard {ownership.shard}: a newer epoch or spec owns it")


def _read_back(row: OrderRow, in_force: Instrument) -> Order:
    """A new owner asks for a cancel anew: that one was asked for is not read back."""
    rules = None if row.made_under.has_steps_of(in_force) else row.made_under
    return replace(row.order, cancel_requested=False, rules=rules)
