"""Bugs to plant into the product, so that the net is seen to catch them.

Each is a context in which production code, or a promise of the store, is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from random import Random
from string import ascii_letters
from unittest.mock import patch

from domain.errors import OwnershipLost
from domain.ids import ClientOrderId, DecisionId, OrderTag, Purpose, SlotId
from domain.orders import Absent, Trade
from domain.plans import Place
from exchanges.id_codecs import Base62Codec
from grid.desired import Stance
from grid.grid import Desired
from grid.role import Role
from grid.view import View
from orchestrator.last_resort import LastResort
from ports.exchange import Outcome, Undetermined
from ports.store import Changes, Claim
from simulation.database import Database
from simulation.planted_contracts import CONTRACT_BUGS
from simulation.planted_nodes import NODE_BUGS
from simulation.planted_requests import REQUEST_BUGS
from simulation.planted_venue import VENUE_BUGS
from symbol_manager import execute, tenure
from symbol_manager.course import Circumstances, stance_of
from symbol_manager.doubts import Doubts
from symbol_manager.execute import Held, PlanExecutor
from symbol_manager.freshness import Freshness
from symbol_manager.lease import Lease
from symbol_manager.state import ShardState
from symbol_manager.tenure import Tenure

#: When a workflow that broke off runs again.
RESUMED_AFTER_S = 4.0


@contextmanager
def random_client_ids() -> Iterator[None]:
    """Client ids that say nothing of their order."""
    dice = Random(1)

    def encode(self: Base62Codec, tag: OrderTag) -> ClientOrderId:
        return ClientOrderId("".join(dice.choices(ascii_letters, k=18)))

    with patch.object(Base62Codec, "encode", encode):
        yield


@contextmanager
def timeout_taken_for_failure() -> Iterator[None]:
    """An order whose answer did not come counts as never sent."""
    apply = execute._apply_place

    def hasty(place: Place, outcome: Outcome, held: Held, into: Changes) -> None:
        if isinstance(outcome, Undetermined):
            name = place.intent.client_order_id
            held.state.set_state(name, Absent("timed out"), into)
            return
        apply(place, outcome, held, into)

    with patch.object(execute, "_apply_place", hasty):
        yield


@contextmanager
def late_fill_dropped() -> Iterator[None]:
    """Trades of an order that has ended are not booked."""
    settle = ShardState._settle

    def forgetful(
        self: ShardState, trade: Trade, client_order_id: ClientOrderId, into: Changes
    ) -> None:
        if self.order(client_order_id).is_live:
            settle(self, trade, client_order_id, into)

    with patch.object(ShardState, "_settle", forgetful):
        yield


@contextmanager
def epoch_not_checked() -> Iterator[None]:
    """The store takes what a former owner commits."""
    with patch.object(Database, "_check_owned", lambda self, ownership, spec_version=None: None):
        yield


@contextmanager
def lost_cancel_forgotten() -> Iterator[None]:
    """A cancel that had no effect is never asked for again."""
    with patch.object(ShardState, "retry_cancel", lambda self, client_order_id, into: None):
        yield


@contextmanager
def anchor_moved_at_start() -> Iterator[None]:
    """Each epoch has a ladder of its own, as grids do that anchor at the last price."""
    claim = Database.claim

    def claim_moved(self: Database, executor: str, shard: int, workflow_id: str) -> Claim:
        found = claim(self, executor, shard, workflow_id)
        shift = found.ownership.epoch * Decimal("0.07")
        moved = tuple(replace(ladder, anchor=ladder.anchor + shift) for ladder in found.ladders)
        return replace(found, ladders=moved)

    with patch.object(Database, "claim", claim_moved):
        yield


@contextmanager
def lease_not_checked() -> Iterator[None]:
    """A process that was stopped past its lease sends when it wakes."""
    with patch.object(Lease, "check", lambda self: None):
        yield


@contextmanager
def absence_believed_at_once() -> Iterator[None]:
    """An order that the venue does not show is absent, although its request may be under way."""
    with patch.object(Doubts, "may_be_absent", lambda self, client_order_id: True):
        yield


@contextmanager
def kill_switch_ignored() -> Iterator[None]:
    """The database forbids placing, but what rests is left there, by the last resort as well."""

    def unimpressed(now: Circumstances) -> Stance:
        return stance_of(replace(now, wishes=replace(now.wishes, is_killed=False)))

    with (
        patch.object(tenure, "stance_of", unimpressed),
        patch.object(LastResort, "look", lambda self: asyncio.sleep(0)),
    ):
        yield


@contextmanager
def balance_booked_twice() -> Iterator[None]:
    """A trade that is seen again is booked again."""
    absorb = ShardState.absorb_trade

    def eager(self: ShardState, trade: Trade, into: Changes) -> None:
        self._trade_ids.discard(trade.trade_id)
        absorb(self, trade, into)

    with patch.object(ShardState, "absorb_trade", eager):
        yield


@contextmanager
def phase_not_awaited() -> Iterator[None]:
    """A phase is acted on while its transaction is still on its way."""
    record = Tenure._record

    async def hasty(self: Tenure, changes: Changes) -> None:
        if changes.phase is None:
            await record(self, changes)
        else:
            asyncio.create_task(record(self, changes))  # noqa: RUF006 - nobody waits for it

    with patch.object(Tenure, "_record", hasty):
        yield


@contextmanager
def short_exit_too_large() -> Iterator[None]:
    """What buys a short slot's base back buys a lot more than the slot owes."""
    desired = View.desired

    def generous(
        self: View, slot: SlotId, purpose: Purpose, price_ticks: int, lots: int, **more: bool
    ) -> Desired:
        extra = self.role is Role.SHORT and purpose is Purpose.EXIT and more["placeable"]
        return desired(self, slot, purpose, price_ticks, lots + extra, **more)

    with patch.object(View, "desired", generous):
        yield


@contextmanager
def ladder_made_anew_while_held() -> Iterator[None]:
    """A version counts as free although its slots still hold something."""
    with patch.object(ShardState, "ladders_in_use", lambda self: {self.ladder.version}):
        yield


@contextmanager
def cut_off_plan_sent_again() -> Iterator[None]:
    """A plan whose workflow broke off is sent once more when that is resumed, seconds later."""
    begin, release = PlanExecutor.begin, PlanExecutor.release
    held_plans: dict[DecisionId, Held] = {}

    def remember(self: PlanExecutor, held: Held) -> None:
        held_plans[held.plan.decision_id] = held
        begin(self, held)

    async def send_again(self: PlanExecutor, held: Held) -> None:
        await asyncio.sleep(RESUMED_AFTER_S)
        with suppress(OwnershipLost):
            await self._send(replace(held, guard=lambda: None))

    async def stubborn(self: PlanExecutor, decision_id: DecisionId) -> None:
        executing = self._executing.get(decision_id)
        is_cut_off = executing is not None and not executing.done()
        await release(self, decision_id)
        held = held_plans.pop(decision_id, None)
        if held is not None and is_cut_off:
            asyncio.create_task(send_again(self, held))  # noqa: RUF006 - nobody waits for it

    with (
        patch.object(PlanExecutor, "begin", remember),
        patch.object(PlanExecutor, "release", stubborn),
    ):
        yield


@contextmanager
def removed_before_all_is_closed() -> Iterator[None]:
    """A symbol that is to be closed goes as soon as no order is left."""
    with patch.object(tenure, "is_flat", lambda grid, slots, book: True):
        yield


@contextmanager
def range_not_restored() -> Iterator[None]:
    """After a restart a range that trailed the price is back where it began."""
    claim = Database.claim

    def forgetful_claim(self: Database, executor: str, shard: int, workflow_id: str) -> Claim:
        found = claim(self, executor, shard, workflow_id)
        return replace(found, phase=replace(found.phase, shift=0))

    with patch.object(Database, "claim", forgetful_claim):
        yield


@contextmanager
def stale_price_accepted() -> Iterator[None]:
    """A price is as good as new, however old it is."""
    with patch.object(Freshness, "reason_against", lambda self, exchange_ms: ""):
        yield


@contextmanager
def dust_forgotten() -> Iterator[None]:
    """A slot that holds less than can be ordered counts as empty."""
    settle = ShardState._settle

    def tidy(self: ShardState, trade: Trade, client_order_id: ClientOrderId, into: Changes) -> None:
        settle(self, trade, client_order_id, into)
        slot = self.slots[self.order(client_order_id).intent.tag.slot]
        if self.grid.is_dust(slot.id, slot.held_units):
            self.slots[slot.id] = into.slots[slot.id] = replace(slot, inventory_units=0)

    with patch.object(ShardState, "_settle", tidy):
        yield


BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = (
    {
        bug.__name__: bug
        for bug in (
            random_client_ids,
            timeout_taken_for_failure,
            late_fill_dropped,
            epoch_not_checked,
            lost_cancel_forgotten,
            anchor_moved_at_start,
            lease_not_checked,
            absence_believed_at_once,
            kill_switch_ignored,
            balance_booked_twice,
            phase_not_awaited,
            short_exit_too_large,
            ladder_made_anew_while_held,
            cut_off_plan_sent_again,
            removed_before_all_is_closed,
            range_not_restored,
            stale_price_accepted,
            dust_forgotten,
        )
    }
    | CONTRACT_BUGS
    | NODE_BUGS
    | REQUEST_BUGS
    | VENUE_BUGS
)
