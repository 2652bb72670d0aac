"""The examples of the guide to grids are what the command line answers."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import cli.symbol
from cli.exits import Exit
from cli.grid_options import GridOptions, GridSource, fields_by_option, flag
from cli.grid_spec import grid_of
from domain.ids import Side, SlotId
from domain.market import BookTop
from grid.desired import Stance, desired_orders
from grid.grid import Grid
from grid.phase import Phase, Stage, next_phase
from grid.slots import Slot
from support.command_line import CommandLine
from support.fake_exchange import BTC, FakeExchange

GUIDE = (Path(__file__).parents[3] / "docs" / "grids.md").read_text()
EXAMPLES = re.findall(r"^```console\n\$ gridkeeper (.*)\n((?:.*\n)*?)```$", GUIDE, re.MULTILINE)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's market."""
    fee = Decimal("0.001")
    exchange = FakeExchange(instrument=replace(BTC, maker_fee=fee, taker_fee=fee))
    exchange.set_price("60000.00", "60000.01", 0)
    monkeypatch.setattr(cli.symbol, "open_exchange", lambda settings: exchange)


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_example_of_the_guide_is_answered_as_it_says(
    gridkeeper: CommandLine, command: str, answer: str
) -> None:
    code = Exit.OK
    if answer.startswith("`"):
        code = Exit.INVALID if answer.startswith("`grid`") else Exit.REFUSED
    said = gridkeeper(*shlex.split(command), code=code)
    assert "".join(f"{line.rstrip()}\n" for line in said.splitlines()) == answer


def test_guide_names_every_option() -> None:
    assert [name for name in fields_by_option() if f"`{flag(name)}`" not in GUIDE] == []


def test_file_of_the_guide_is_a_grid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    spec = grid_of(GridSource(options=GridOptions(), file=file))
    assert spec.volatility is not None
    assert spec.volatility.scale == Decimal("1.2")


@pytest.mark.parametrize(
    ("held", "highest", "lowest"),
    [
        pytest.param(0, -1, -3, id="nothing held"),
        pytest.param(4, -3, -5, id="two levels lower"),
        pytest.param(10, -4, -6, id="three at most"),
    ],
)
def test_skew_of_the_guide_moves_entries(held: int, highest: int, lowest: int) -> None:
    spec = grid_of(options(skew="0.5", skew_max=3, buy_window=3, sell_window=3))
    grid = Grid.fresh(spec, BTC, Decimal(60_000))
    held_units = BTC.base_to_units(Decimal("0.001"))
    slots = {
        SlotId(0, number): Slot(
            id=SlotId(0, number),
            inventory_units=held_units,
            cost_units=BTC.quote_to_units(Decimal(60)),
        )
        for number in range(held)
    }
    book = BookTop(grid.start_ticks, grid.start_ticks + 1, 0)
    wanted = desired_orders(grid, slots, book, {}, stance=Stance.TRADE)
    entries = [order.slot.number for order in wanted if order.side is Side.BUY]
    assert (max(entries), min(entries)) == (highest, lowest)


@pytest.mark.parametrize(
    ("prices", "lower", "upper"),
    [
        pytest.param(["64000"], 56_000, 64_000, id="at its end"),
        pytest.param(["64000.01"], 57_000, 65_000, id="past its end"),
        pytest.param(["64000.01", "65000.01"], 58_000, 66_000, id="past its new end"),
        pytest.param(["64000.01", "65000.01", "66000.01"], 58_000, 66_000, id="past the limit"),
        pytest.param(["64000.01", "60000"], 57_000, 65_000, id="back again"),
    ],
)
def test_range_of_the_guide_trails_the_price(prices: list[str], lower: int, upper: int) -> None:
    spec = grid_of(options(step="1000", lower="56000", upper="64000", trail_up_to="66000"))
    grid = Grid.fresh(spec, BTC, Decimal(60_000))
    phase = Phase(stage=Stage.RUNNING)
    for price in prices:
        ticks = BTC.price_to_ticks(Decimal(price))
        book = BookTop(ticks, ticks, 0)
        phase = next_phase(phase, grid.shifted(phase.shift), {}, book, lambda mark_ticks: 0)
    ladder = grid.shifted(phase.shift).ladder
    ends = [ladder.price_ticks(index) for index in (ladder.lowest_index, ladder.highest_index)]
    assert [BTC.ticks_to_price(ticks) for ticks in ends] == [lower, upper]


def options(**given: Any) -> GridSource:
    whole = {"step": "300", "order_quote": "60", "budget": "1000"} | given
    return GridSource(options=GridOptions(**whole), file=None)
