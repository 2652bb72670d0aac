"""The options of an update, laid over the grid that is there."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
import typer

from cli.grid_options import GridOptions
from cli.symbol import app
from cli.symbol_update import updated_spec
from domain.errors import ConfigurationError
from grid.spec import GridSpec
from store.history import SymbolRecord

WINDOW: dict[str, Any] = {
    "spacing": {"kind": "geometric", "ratio": "1.0005"},
    "range": {"kind": "window", "buy_window": 5, "sell_window": 4, "anchor": None},
    "order_size": {"kind": "quote", "amount": "50"},
    "budget_quote": "1000",
    "stop_loss": {"price": "90", "quote": None},
}
FIXED: dict[str, Any] = WINDOW | {
    "spacing": {"kind": "arithmetic", "step": "10"},
    "range": {"kind": "fixed", "lower": "100", "upper": "200"},
    "order_size": {"kind": "base", "amount": "0.1"},
}
DIVIDED: dict[str, Any] = FIXED | {
    "spacing": {"kind": "division", "count": 21, "progression": "geometric"},
}


def full(spec: dict[str, Any]) -> dict[str, Any]:
    """As Postgres has it."""
    return GridSpec.model_validate(spec).model_dump(mode="json")


def update(
    spec: dict[str, Any], *, file: Path | None = None, without: tuple[str, ...] = (), **options: Any
) -> dict[str, Any]:
    present = cast(SymbolRecord, SimpleNamespace(spec=full(spec)))
    return full(dict(updated_spec(present, GridOptions(**options), file, list(without))))


@pytest.mark.parametrize(
    ("before", "options", "changed"),
    [
        pytest.param(WINDOW, {"budget": "2000"}, {"budget_quote": "2000"}, id="budget"),
        pytest.param(
            WINDOW,
            {"step_bp": "7"},
            {"spacing": {"kind": "geometric", "ratio": "1.0007"}},
            id="same kind of spacing",
        ),
        pytest.param(
            WINDOW,
            {"step": "10"},
            {"spacing": {"kind": "arithmetic", "step": "10"}},
            id="another kind of spacing",
        ),
        pytest.param(
            WINDOW,
            {"buy_window": 8},
            {"range": WINDOW["range"] | {"buy_window": 8}},
            id="one side of a window",
        ),
        pytest.param(
            WINDOW,
            {"lower": "50", "upper": "60"},
            {"range": FIXED["range"] | {"lower": "50", "upper": "60"}},
            id="a window becomes a range",
        ),
        pytest.param(
            FIXED, {"upper": "250"}, {"range": FIXED["range"] | {"upper": "250"}}, id="one end"
        ),
        pytest.param(
            FIXED,
            {"buy_window": 3, "sell_window": 3},
            {"range": {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": None}},
            id="a range becomes a window",
        ),
        pytest.param(
            FIXED,
            {"order_quote": "20"},
            {"order_size": {"kind": "quote", "amount": "20"}},
            id="another kind of size",
        ),
        pytest.param(
            DIVIDED,
            {"count": 31},
            {"spacing": DIVIDED["spacing"] | {"count": 31}},
            id="another count, in proportion as before",
        ),
        pytest.param(DIVIDED, {"budget": "2000"}, {"budget_quote": "2000"}, id="budget of a count"),
        pytest.param(
            DIVIDED,
            {"step": "5"},
            {"spacing": {"kind": "arithmetic", "step": "5"}},
            id="a step instead of a count",
        ),
        pytest.param(
            FIXED,
            {"count": 11},
            {"spacing": {"kind": "division", "count": 11, "progression": "arithmetic"}},
            id="a count instead of a step",
        ),
        pytest.param(FIXED, {"max_open_orders": 7}, {"max_open_orders": 7}, id="most orders"),
        pytest.param(FIXED, {"without": ("stop_loss",)}, {"stop_loss": None}, id="without a part"),
        pytest.param(FIXED, {}, {}, id="nothing"),
    ],
)
def test_updated_spec_changes_what_was_given_and_nothing_else(
    before: dict[str, Any], options: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert update(before, **options) == full(before) | changed


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"step": "1", "step_bp": "1"}, id="two steps"),
        pytest.param({"lower": "50"}, id="half a range for a window"),
        pytest.param({"without": ("budget_quote",)}, id="without a part that must be"),
        pytest.param({"without": ("stoploss",)}, id="without what there is not"),
        pytest.param({"file": Path("grid.yaml"), "budget": "5"}, id="a file and an option"),
        pytest.param({"file": Path("grid.yaml"), "without": ("skew",)}, id="a file without"),
    ],
)
def test_updated_spec_of_options_that_contradict_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        update(WINDOW, **options)


def test_updated_spec_of_a_file_is_the_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "spacing: {kind: arithmetic, step: '5'}\n"
        "range: {kind: window, buy_window: 1, sell_window: 1}\n"
        "order_size: {kind: base, amount: '1'}\nbudget_quote: '10'\n"
    )
    assert update(WINDOW, file=file)["stop_loss"] is None


def test_update_takes_every_grid_option_that_add_has() -> None:
    group = cast(click.Group, typer.main.get_command(app))
    names = {field.name for field in fields(GridOptions)}
    offered = {
        command: {option.name for option in group.commands[command].params} & names
        for command in ("add", "update")
    }
    assert offered["update"] == offered["add"] == names
