"""What a crash test tells: a failpoint that was armed was reached, or it was not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from cli.crash_test import WITHOUT_DATABASE, Kill, Killer, Outcome, Target
from cli.exits import Exit

KILLS = [
    Kill(Target.NODE),
    Kill(Target.FAILPOINT, "execute_plan.before_send@1", reached=True),
    Kill(Target.FAILPOINT, "execute_plan.before_send@5", reached=False),
    Kill(Target.FAILPOINT, "apply_change.before_record@1", reached=True),
]


def test_text_counts_failpoints_that_were_reached_apart() -> None:
    text = Outcome(seed=1, kills=KILLS).to_text()
    assert text == "seed 1: 1 × node, 2 × failpoint reached, 1 × failpoint not reached\n"


def test_document_says_of_each_failpoint_whether_it_was_reached() -> None:
    kills = Outcome(seed=1, kills=KILLS).to_document()["kills"]
    assert isinstance(kills, list)
    assert [kill["reached"] for kill in kills] == [None, True, False, True]


class Process:
    returncode: int | None = None


class System:
    """Its node ends as it is told to."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.node = Process()

    async def start_node(self, *, failpoint: str | None = None) -> None:
        self.node = Process()

    async def kill_node(self) -> int:
        self.node.returncode = self.node.returncode or -signal.SIGKILL
        return self.node.returncode

    async def wait_node(self) -> int:
        return await self.kill_node()


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setattr("cli.crash_test.PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr("cli.crash_test.DOWN_S", (0.0, 0.0))
    return System(tmp_path)


async def kill(system: Any, monkeypatch: pytest.MonkeyPatch, *ends: tuple[int, str]) -> list[str]:
    """What is told of nodes that end so before they are killed, by what is killed then."""
    killer = Killer(system, seed=1)
    await killer.start()
    for code, target in ends:
        system.node.returncode = code or None
        monkeypatch.setattr("cli.crash_test._WEIGHTS", {Target(target): 1})
        await killer.kill_once()
    killer.look()
    return killer.gave_up


@pytest.mark.parametrize("target", list(Target))
async def test_node_that_lives_until_it_is_killed_has_not_given_up(
    system: System, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    assert await kill(system, monkeypatch, (0, target), (0, target)) == []


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("code", [Exit.FAILED, *WITHOUT_DATABASE])
async def test_node_that_ends_before_it_is_killed_is_told_of_once(
    system: System, monkeypatch: pytest.MonkeyPatch, target: str, code: int
) -> None:
    told = await kill(system, monkeypatch, (code, target))
    assert told == [f"the node ended by itself with {int(code)}"]


@pytest.mark.parametrize("code", WITHOUT_DATABASE)
async def test_node_may_end_for_want_of_its_database_until_it_is_started_again(
    system: System, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    assert await kill(system, monkeypatch, (0, "postgres"), (code, "node")) == []
    assert len(await kill(system, monkeypatch, (0, "postgres"), (1, "node"))) == 1
    ends = ((0, "postgres"), (0, "node"), (code, "node"))
    assert len(await kill(system, monkeypatch, *ends)) == 1


def test_run_whose_node_gave_up_is_not_ok_and_says_so() -> None:
    outcome = Outcome(seed=1, gave_up=["the node ended by itself with 1"])
    assert "gave up: the node ended by itself with 1\n" in outcome.to_text()
    assert outcome.to_document()["gave_up"] == outcome.gave_up
    assert not outcome.ok
