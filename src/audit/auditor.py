"""Looks at both sides until what may be in flight has landed, and reports what has not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from audit.database import read_database, trades_futures
from audit.exchange import FUTURES, SPOT, LedgerFold
from audit.invariants import HEALABLE, Evidence, check_all, check_all_and_kills
from audit.report import Report, Result, Violation
from audit.simulator import SimulatorAccess

SETTLE_S = 10.0
_LOOK_EVERY_S = 0.25

_Subject = tuple[str, str]


async def audit(
    dsn: str,
    simulator: SimulatorAccess,
    *,
    settle_s: float = SETTLE_S,
    acknowledged: Sequence[str] = (),
    freeze: bool = False,
    measures_kills: bool = False,
) -> Report:
    """Compare the exchange's ledger with Postgres.

    A look reads the exchange first and Postgres after, so what the exchange accepted must have
    its intent there. Fills, statuses and balances of a system at work are in flight at any one
    look; of these only what is wrong about one subject in every look until `settle_s` is over
    counts as a violation. What can never come right again counts in whichever look it is seen.

    Parameters
    ----------
    acknowledged : sequence of str
        Workflow ids of the requests whose callers got an answer.
    freeze : bool
        Hold the simulator's markets still meanwhile.
    measures_kills : bool
        Judge what followed each kill, too: the exchange answered during all of them.
    """
    check = check_all_and_kills if measures_kills else check_all
    async with simulator.frozen() if freeze else nullcontext():
        return await _look_until_settled(dsn, simulator, settle_s, tuple(acknowledged), check)


async def _look_until_settled(
    dsn: str,
    simulator: SimulatorAccess,
    settle_s: float,
    acknowledged: tuple[str, ...],
    check: Callable[[Evidence], tuple[Result, ...]],
) -> Report:
    market = FUTURES if await trades_futures(dsn) else SPOT
    fold = LedgerFold(simulator.account, market)
    offset = 0
    permanent: dict[_Subject, Violation] = {}
    standing: dict[_Subject, Violation] | None = None
    looks = 0
    deadline_s = time.monotonic() + settle_s
    while True:
        overdue = time.monotonic() > deadline_s  # read first: the last look is a whole one
        records, offset = await asyncio.to_thread(simulator.read, offset)
        fold.add(records)
        database = await read_database(dsn, acknowledged)
        results = check(Evidence(fold.snapshot(), database, acknowledged))
        looks += 1
        seen = {(found.invariant, found.subject): found for found in _violations(results)}
        permanent = {s: v for s, v in seen.items() if s[0] not in HEALABLE} | permanent
        in_flight = {s: v for s, v in seen.items() if s[0] in HEALABLE}
        standing = {s: v for s, v in in_flight.items() if standing is None or s in standing}
        if not standing or overdue:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    found = [*permanent.values(), *standing.values()]
    return Report(
        results=tuple(_settled(result, found) for result in results),
        ledger_seq=fold.seq,
        looks=looks,
    )


def _violations(results: Sequence[Result]) -> list[Violation]:
    return [violation for result in results for violation in result.violations]


def _settled(result: Result, found: Sequence[Violation]) -> Result:
    return replace(result, violations=tuple(v for v in found if v.invariant == result.name))
