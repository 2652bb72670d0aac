"""A node with a bug or a fault planted in it: as a program, it patches the product and starts it.

``python planted.py NAME up`` is `gridkeeper up` with that bug or fault.
"""

from __future__ import annotations

import asyncio
import random
import string
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from cli.main import main
from domain.errors import OwnershipLost
from domain.ids import ClientOrderId, OrderTag, Purpose
from domain.instrument import Instrument
from domain.plans import CommittedPlan
from exchanges.ccxt_exchange import CcxtExchange
from exchanges.id_codecs import Base62Codec
from grid.desired import Stance, desired_orders
from grid.grid import Desired, Grid
from orchestrator import bootstrap
from orchestrator.membership import Membership
from orchestrator.node import Node
from ports.store import Changes, Claim, Decision, Ownership
from store.repository import Repository
from symbol_manager import decide
from symbol_manager.tenure import ShardSettings

DROPPED_EVERY = 3
#: How many times an order's size: more than the budget, then sane ones, each a percent farther off.
RUNAWAY_FACTORS = (100, *(1,) * 30)
#: Enough for a symbol to be added and to trade.
GIVES_UP_AFTER_S = 15.0
#: For the gate: its default is more than one account may send, and after refusals slots wait.
RUNAWAY_ORDERS_PER_MINUTE = 40


def random_client_ids() -> None:
    """Client ids that say nothing, as without a client id of one's own."""

    def encode(self: Base62Codec, tag: OrderTag) -> ClientOrderId:
        return ClientOrderId("".join(random.choices(string.ascii_letters, k=18)))

    Base62Codec.encode = encode  # type: ignore[method-assign]  # that is the bug


def dropped_fill() -> None:
    """Some trades are counted but never recorded, the first of each run of the node among them."""
    record = Repository.record
    arrival: dict[str, int] = {}

    def is_kept(trade_id: str) -> bool:
        return arrival.setdefault(trade_id, len(arrival)) % DROPPED_EVERY != 0

    async def forgetful(
        self: Repository, ownership: Ownership, instrument: Instrument, changes: Changes
    ) -> None:
        kept = {trade_id: fill for trade_id, fill in changes.fills.items() if is_kept(trade_id)}
        await record(self, ownership, instrument, replace(changes, fills=kept))

    Repository.record = forgetful  # type: ignore[method-assign]  # that is the bug


def intent_after_send() -> None:
    """The order leaves first and its intent is committed after."""
    commit = Repository.commit_decision
    submit = CcxtExchange.submit
    late: dict[str, Callable[[], Any]] = {}

    async def commit_later(
        self: Repository, decision: Decision, instrument: Instrument
    ) -> CommittedPlan:
        async def now() -> CommittedPlan:
            return await commit(self, decision, instrument)

        late[decision.decision_id] = now
        return CommittedPlan(
            decision_id=decision.decision_id,
            shard=decision.ownership.shard,
            epoch=decision.ownership.epoch,
            plan=decision.approved.plan,
        )

    async def submit_first(self: CcxtExchange, plan: CommittedPlan, *rest: Any) -> Any:
        outcomes = await submit(self, plan, *rest)
        await late.pop(plan.decision_id)()
        return outcomes

    Repository.commit_decision = commit_later  # type: ignore[method-assign]  # that is the bug
    CcxtExchange.submit = submit_first  # type: ignore[method-assign,assignment]  # that is the bug


def re_anchoring() -> None:
    """Each restart moves the ladder, as grids do that anchor at the last price."""
    claim = Repository.claim

    async def moved(self: Repository, shard: int, workflow_id: str) -> Claim:
        found = await claim(self, shard, workflow_id)
        shift = found.instrument.tick_size * 7 * found.ownership.epoch
        ladders = [replace(ladder, anchor=ladder.anchor + shift) for ladder in found.ladders]
        return replace(found, ladders=tuple(ladders))

    Repository.claim = moved  # type: ignore[method-assign]  # that is the bug


def runaway() -> None:
    """The grid has gone mad: whatever rests is to go, and far too much is to come, at each look."""
    looks = count()

    def mad(grid: Grid, slots: Any, book: Any, live: Any, *, stance: Stance) -> tuple[Desired, ...]:
        sane = desired_orders(grid, slots, book, live, stance=stance)
        entries = [order for order in sane if order.purpose is Purpose.ENTRY]
        if not entries or next(looks) % 2:
            return ()
        last = entries[-1]
        far = [
            replace(
                last,
                slot=last.slot._replace(number=last.slot.number - 1 - place),
                price_ticks=last.price_ticks * (100 - place) // 100,
                quantity_lots=last.quantity_lots * factor,
                placeable=True,
            )
            for place, factor in enumerate(RUNAWAY_FACTORS)
        ]
        return (*(replace(order, placeable=True) for order in entries), *far)

    slower = partial(ShardSettings, orders_per_minute=RUNAWAY_ORDERS_PER_MINUTE)
    decide.desired_orders = mad  # type: ignore[attr-defined]  # that is the fault
    bootstrap.ShardSettings = slower  # type: ignore[attr-defined,assignment]  # a rate it reaches


def deaf() -> None:
    """A stop never ends."""

    async def stop_for_ever(self: Node) -> int:
        await asyncio.Event().wait()
        return 0

    Node.stop = stop_for_ever  # type: ignore[method-assign]  # that is the bug


def gives_up() -> None:
    """The node takes itself for fenced although nothing happened to it."""
    keep = Membership.keep

    async def keep_for_a_while(
        self: Membership, heartbeat_s: float, reaches_exchange: Callable[[], bool]
    ) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVES_UP_AFTER_S):
                await keep(self, heartbeat_s, reaches_exchange)
        raise OwnershipLost("nobody took anything")

    Membership.keep = keep_for_a_while  # type: ignore[method-assign]  # that is the bug


#: Each is found by the auditor.
BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug for bug in (random_client_ids, dropped_fill, intent_after_send, re_anchoring)
}
#: What they leave behind is sound: they are found by how their nodes end.
BAD_ENDS: dict[str, Callable[[], None]] = {bug.__name__: bug for bug in (deaf, gives_up)}
#: No bugs for a test to see: the rest of the product has to hold what comes of them.
FAULTS: dict[str, Callable[[], None]] = {runaway.__name__: runaway}

if __name__ == "__main__":
    (BUGS | BAD_ENDS | FAULTS)[sys.argv.pop(1)]()
    main()
