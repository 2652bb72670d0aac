"""Nodes that chaos keeps running: what it makes of those that do not end, or end by themselves.

In place of a node stands a program that behaves as the test says.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.faults import Process
from chaos.rig import NotEndedError
from cli import chaos_system
from cli.chaos_system import ChaosSystem
from cli.local_nodes import LocalNode
from cli.local_system import STOP_WAIT_S, LocalSystem, Market
from cli.users import Users
from support.system import eventually

OBEDIENT = "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
#: Of a stop: long enough for a program that does it at once.
BOUND_S = 3.0


@asynccontextmanager
async def kept(directory: Path, behaviour: str) -> AsyncIterator[ChaosSystem]:
    """One node that has begun to behave so."""
    up = directory / "up"
    script = f"import os, pathlib, signal, time; {behaviour}; pathlib.Path({str(up)!r}).touch()"
    node = LocalNode(
        name="one",
        system=LocalSystem(data_dir=directory, market=Market()),
        to_database=cast("Any", None),
        to_exchange=cast("Any", None),
        command=("-c", f"{script}; time.sleep(60)"),
    )
    rig = ChaosSystem(
        system=node.system,
        database=cast("Any", None),
        nodes=[node],
        disk=None,
        users=Users(database=cast("Any", None), spec={}),
        patience=BOUND_S / STOP_WAIT_S,
    )
    rig.allow_all()
    keeper = asyncio.create_task(rig.keep(0))

    async def is_up() -> bool:
        return up.exists()

    try:
        await eventually(is_up, "the node begins")
        up.unlink()
        yield rig
    finally:
        keeper.cancel()
        await node.kill()


async def started_again(directory: Path) -> None:
    async def is_up() -> bool:
        return (directory / "up").exists()

    await eventually(is_up, "the node begins again")


async def test_node_that_is_deaf_to_a_stop_is_told_of_killed_and_started_again(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path, DEAF) as rig:
        rig.signal(Process.NODE, 0, signal.SIGTERM)

        with pytest.raises(NotEndedError, match=r"node one did not end within 3 s: see .*one\.log"):
            await rig.start(Process.NODE, 0)

        await started_again(tmp_path)
        assert rig.ended_by_themselves() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_node_that_ends_as_it_was_made_to_is_started_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with kept(tmp_path, OBEDIENT) as rig:
        rig.signal(Process.NODE, 0, number)
        await rig.start(Process.NODE, 0)
        await started_again(tmp_path)
        assert rig.ended_by_themselves() == []


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        pytest.param("signal.signal(signal.SIGTERM, lambda *_: os._exit(75))", 75, id="fenced"),
        pytest.param("signal.signal(signal.SIGTERM, lambda *_: os._exit(3))", 3, id="database"),
        pytest.param(
            "signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), 9))", -9, id="killed"
        ),
    ],
)
async def test_stop_that_ends_otherwise_is_an_end_by_itself(
    tmp_path: Path, behaviour: str, code: int
) -> None:
    async with kept(tmp_path, behaviour) as rig:
        rig.signal(Process.NODE, 0, signal.SIGTERM)
        await rig.start(Process.NODE, 0)
        await started_again(tmp_path)
        (end,) = rig.ended_by_themselves()
        assert (end.node, end.code) == (0, code)


@pytest.mark.parametrize("is_old", [False, True])
async def test_only_a_node_that_starts_may_end_by_a_signal_it_does_not_catch_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_old: bool
) -> None:
    monkeypatch.setattr(chaos_system, "START_S", 0.0 if is_old else 600.0)
    async with kept(tmp_path, "pass") as rig:
        rig.signal(Process.NODE, 0, signal.SIGTERM)
        await rig.start(Process.NODE, 0)
        await started_again(tmp_path)
        assert [end.code for end in rig.ended_by_themselves()] == [-signal.SIGTERM] * is_old


@pytest.mark.parametrize("code", [0, 1, 3, 75])
async def test_node_that_ends_unasked_is_told_of_with_its_code_and_started_again(
    tmp_path: Path, code: int
) -> None:
    async with kept(tmp_path, f"signal.signal(signal.SIGHUP, lambda *_: os._exit({code}))") as rig:
        rig.nodes[0].send(signal.SIGHUP)
        await started_again(tmp_path)
        (end,) = rig.ended_by_themselves()
        assert (end.node, end.code) == (0, code)
        assert end.text.startswith(f"node one ended with {code}: see ")
