"""The examples of the guide to grids are what the command line answers."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import typer
import yaml

import cli.symbol
from cli.exits import Exit
from cli.grid_options import fields_by_option, flag
from grid.spec import GridSpec
from support.command_line import CommandLine
from support.fake_exchange import BTC, FakeExchange

GUIDE = (Path(__file__).parents[3] / "docs" / "grids.md").read_text()
EXAMPLES = [
    (command, answer)
    for command, answer in re.findall(r"```console\n\$ gridkeeper (.*)\n([^`]*)```", GUIDE)
]


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's market."""
    fee = Decimal("0.001")
    exchange = FakeExchange(instrument=replace(BTC, maker_fee=fee, taker_fee=fee))
    exchange.set_price("60000.00", "60000.01", 0)
    monkeypatch.setattr(cli.symbol, "open_exchange", lambda settings: exchange)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(("command", "answer"), EXAMPLES, ids=[each[0][20:] for each in EXAMPLES])
def test_example_of_the_guide_is_answered_as_it_says(
    gridkeeper: CommandLine, command: str, answer: str
) -> None:
    given = _answer(gridkeeper, command)
    assert given == answer


def _answer(gridkeeper: CommandLine, command: str) -> str:
    arguments = shlex.split(command)
    said = gridkeeper(*arguments, code=Exit.OK)
    return "".join(f"{line.rstrip()}\n" for line in said.splitlines())
