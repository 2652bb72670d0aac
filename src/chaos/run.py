"""Plays rounds of faults against a system, and waits after each until it trades again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from chaos.ends import unexplained
from chaos.faults import Killed
from chaos.hands import NothingToStrikeError, heal, strike
from chaos.report import Outcome, Strike
from chaos.rig import NotEndedError, Rig
from chaos.schedule import Round

#: However long a run is asked for.
ROUNDS_MAX = 10_000
_POLL_S = 0.2


async def play(
    rig: Rig,
    rounds: Iterator[Round],
    outcome: Outcome,
    *,
    duration_s: float,
    rounds_max: int = ROUNDS_MAX,
    patience: float = 1.0,
    on_round: Callable[[Round], None] = lambda _: None,
) -> None:
    """Play rounds until the time or their number is over, or the system stays down.

    Parameters
    ----------
    patience : float
        By how much every bound is multiplied, for slow machines.
    """
    deadline_s = _now_s() + duration_s
    known: set[str] = set()
    for turn in rounds:
        if turn.number > rounds_max or _now_s() + turn.pause_s > deadline_s:
            return
        on_round(turn)
        await asyncio.sleep(turn.pause_s)
        blame_for_ends(rig, outcome, patience)
        strikes = [Strike(round=turn.number, injection=item) for item in turn.injections]
        outcome.strikes += strikes
        asking = asyncio.create_task(_ask_all(rig, turn))
        try:
            found = await _strike_all(rig, strikes)
            bound_s = max(item.fault.again_s for item in turn.injections) * patience
            recovery_s, reasons = await _recovery(rig, asking, bound_s)
            if reasons:
                found += [f"not quoting {bound_s:.0f} s after it: {reason}" for reason in reasons]
            found += [what for what in await rig.audit() if what not in known]
            known.update(found)
            for done in strikes:
                done.recovery_s = recovery_s
                done.violations += found
            blame_for_ends(rig, outcome, patience)
            if reasons and (await _recovery(rig, asking, bound_s))[1]:
                return  # what else would be tried on a system that stays down?
            asking.result()
        finally:
            asking.cancel()


def blame_for_ends(rig: Rig, outcome: Outcome, patience: float) -> None:
    """Nodes that ended for no reason since one looked last: what the last round brought about."""
    found = unexplained(rig.ended_by_themselves(), outcome.strikes, patience)
    last = outcome.strikes[-1].round if outcome.strikes else None
    if last is None:
        outcome.violations += found
    for done in outcome.strikes:
        if done.round == last:
            done.violations += found


async def _ask_all(rig: Rig, turn: Round) -> None:
    """Make the requests of a round, each at its time, or as soon as the one before is made."""
    began_s = _now_s()
    for request in turn.requests:
        await asyncio.sleep(began_s + request.at * turn.lasts_s - _now_s())
        await rig.ask(request)


async def _strike_all(rig: Rig, strikes: Sequence[Strike]) -> list[str]:
    """Begin and end the faults of a round, each at its time; what was wrong meanwhile."""
    last = [done for done in strikes if isinstance(done.injection.fault.effect, Killed)]
    await asyncio.gather(*(_hold(rig, done, heals=done not in last) for done in strikes))
    found: list[str] = []
    for done in last:  # while something else is down its orders cannot be cancelled
        try:
            await heal(rig, done.injection)
        except TimeoutError as error:
            found.append(f"{done.injection.fault.name}: {error}")
        done.healed_s = _now_s()
    return found


async def _hold(rig: Rig, done: Strike, *, heals: bool) -> None:
    """Strike when it is time, hold it, and heal it unless that must wait for others."""
    await asyncio.sleep(done.injection.after_s)
    done.began_s = _now_s()
    try:
        await strike(rig, done.injection)
        await asyncio.sleep(done.injection.hold_s)
        if heals:
            await heal(rig, done.injection)
    except NothingToStrikeError as nothing:
        done.skipped = str(nothing)
    except NotEndedError as error:
        done.violations.append(f"{done.injection.fault.name}: {error}")
    except OSError as error:  # the exchange's control API, or the disk, does not do as it is told
        done.violations.append(f"{done.injection.fault.name} could not be done: {error}")
    finally:
        if heals:
            done.healed_s = _now_s()


async def _recovery(
    rig: Rig, asking: asyncio.Task[None], bound_s: float
) -> tuple[float | None, list[str]]:
    """How long it took until all symbols quoted as was asked for, or why they did not in time."""
    since, began_s = datetime.now(UTC), _now_s()
    while True:
        reasons = await rig.idle(since)
        if not reasons and not asking.done():
            reasons = ["a request is not acknowledged"]
        took_s = _now_s() - began_s
        if not reasons:
            return round(took_s, 2), []
        if took_s > bound_s:
            return None, reasons
        await asyncio.sleep(_POLL_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
