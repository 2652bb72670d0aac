"""The table of faults says of each what it does, what heals it and when all must be well."""

from __future__ import annotations

import pytest

from chaos.faults import Armed, End, Fault, Line, Place, Process, Signalled
from chaos.hands import PATHS
from chaos.proxy import Mode
from chaos.table import FAULTS
from cli.exits import Exit
from simulator.faults import Faults


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_is_described_and_bounded(fault: Fault) -> None:
    shortest, longest = fault.hold_s
    assert fault.does
    assert fault.heals
    assert 0 <= shortest <= longest <= 15
    assert 0 < fault.again_s <= 60


@pytest.mark.parametrize(
    "fault",
    [fault for fault in FAULTS.values() if isinstance(fault.effect, Armed)],
    ids=lambda fault: fault.name,
)
def test_armed_fault_is_one_the_exchange_knows(fault: Fault) -> None:
    assert isinstance(fault.effect, Armed)
    for description in fault.effect.descriptions:
        parsed = Faults().parse(description)
        assert parsed.path is None or all(parsed.path in paths for paths in PATHS.values())


def test_every_mode_of_the_lines_is_tried_but_corruption_where_nothing_detects_it() -> None:
    untried = {
        f"{line}-{mode}"
        for line in Line
        for mode in Mode
        if mode is not Mode.PASS and f"{line}-{mode}" not in FAULTS
    }
    # Nothing below Postgres' own protocol would notice: it is TLS that makes a change an error.
    assert untried == {"database-corrupt"}


def test_ends_are_the_documented_ones() -> None:
    assert {end.name: int(end) for end in End} == {
        name: int(Exit[name]) for name in End.__members__
    }


def test_only_faults_of_the_database_and_of_stopped_nodes_end_nodes() -> None:
    ending = {fault.name: fault.ends for fault in FAULTS.values() if fault.ends}
    at_database = {Place.POSTGRES, Place.TO_DATABASE}
    assert ending.keys() == {"node-stopped"} | {
        fault.name
        for fault in FAULTS.values()
        if fault.place in at_database and fault.name != "kill-switch"
    }
    assert ending["node-stopped"] == {End.FENCED}


def test_every_process_is_killed_stopped_and_ended() -> None:
    struck = {
        (fault.effect.process, fault.effect.number.name)
        for fault in FAULTS.values()
        if isinstance(fault.effect, Signalled)
    }
    assert struck == {
        (process, name) for process in Process for name in ("SIGKILL", "SIGSTOP", "SIGTERM")
    }
