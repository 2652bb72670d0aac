"""Every option reaches its field, and what is wrong is said in the operator's words."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from cli.errors import InvalidSettings
from cli.grid_options import GridOptions, GridSource, fields_by_option
from cli.grid_spec import Wording, grid_of
from domain.errors import ConfigurationError
from grid.spec import GridSpec

WINDOW: dict[str, Any] = {
    "step": "10",
    "buy_window": 5,
    "sell_window": 5,
    "order_quote": "50",
    "budget": "1000",
}
RANGE: dict[str, Any] = {
    "step": "10",
    "lower": "100",
    "upper": "200",
    "order_quote": "50",
    "budget": "1000",
}


def source(base: dict[str, Any] = WINDOW, **given: Any) -> GridSource:
    return GridSource(options=GridOptions(**(base | given)), file=None)


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every field of a document that holds a value, by its path."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        parts = [part for part in _types(field.annotation) if _is_model(part)]
        if not parts:
            found.add(f"{prefix}{name}")
        for part in parts:
            found |= leaves(part, f"{prefix}{name}.")
    return found


def _types(annotation: Any) -> list[Any]:
    if get_origin(annotation) in {Union, UnionType}:
        return [each for part in get_args(annotation) for each in _types(part)]
    if get_origin(annotation) is Annotated:
        return _types(get_args(annotation)[0])
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def test_options_reach_every_field_of_a_grid() -> None:
    kinds_that_follow = {"range.kind", "order_size.kind", "spacing.progression"}
    assert set(fields_by_option().values()) == leaves(GridSpec) - kinds_that_follow


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        pytest.param(source(mode="short"), "mode", "short", id="mode"),
        pytest.param(
            source(skew="0.5", skew_max=3),
            "skew",
            {"levels_per_slot": "0.5", "max_levels": 3},
            id="skew",
        ),
        pytest.param(
            source(volatility="4h", volatility_candles=20, volatility_scale="1.5"),
            "volatility",
            {"timeframe": "4h", "candles": 20, "scale": "1.5"},
            id="volatility",
        ),
        pytest.param(
            source(volatility_scale="2"),
            "volatility",
            {"timeframe": "1h", "candles": 14, "scale": "2"},
            id="volatility by its scale alone",
        ),
        pytest.param(
            source(RANGE, trail_up_to="300", trail_down_to="50"),
            "trailing",
            {"up_to": "300", "down_to": "50"},
            id="trailing",
        ),
        pytest.param(source(trigger_price="90"), "trigger_price", "90", id="trigger"),
        pytest.param(source(initial_position=True), "initial_position", True, id="initial"),
        pytest.param(
            source(stop_loss_price="80", stop_loss="30"),
            "stop_loss",
            {"price": "80", "quote": "30"},
            id="stop-loss",
        ),
        pytest.param(
            source(take_profit="30"), "take_profit", {"price": None, "quote": "30"}, id="profit"
        ),
        pytest.param(source(on_stop="close"), "on_stop", "close", id="on stop"),
        pytest.param(source(slippage="0.001"), "slippage", "0.001", id="slippage"),
        pytest.param(source(base_inventory="2"), "base_inventory", "2", id="base"),
    ],
)
def test_grid_of_options_has_the_field(given: GridSource, field: str, expected: object) -> None:
    assert grid_of(given).model_dump(mode="json")[field] == expected


def test_grid_of_the_fewest_options_has_the_defaults_of_the_spec() -> None:
    assert grid_of(source()).model_fields_set == {"spacing", "range", "order_size", "budget_quote"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(source(budget="-1"), "`--budget` must be greater than 0, was -1;", id="value"),
        pytest.param(source(step="1e400"), "`--step` must be less than 10", id="kind"),
        pytest.param(source(skew="1"), "`--skew-max` must be given with --skew,", id="half a skew"),
        pytest.param(
            source(RANGE, lower="300"),
            "`--lower, --upper` upper must be > lower, was 200 with lower 300;",
            id="two options together",
        ),
        pytest.param(source(step_bp="0", step=None), "--step-bp 0;", id="no step in bp"),
        pytest.param(
            source(trail_up_to="300"), "--trail-up-to without --lower and --upper", id="no range"
        ),
        pytest.param(
            source(RANGE, volatility_scale="2"),
            "--lower, --upper exclude --volatility-scale",
            id="range that would scale",
        ),
    ],
)
def test_grid_of_wrong_options_names_the_flags(given: GridSource, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        grid_of(given)
    assert message in str(caught.value)


def test_grid_of_several_wrong_options_names_each() -> None:
    with pytest.raises(InvalidSettings) as caught:
        grid_of(source(budget="x", buy_window=0))
    assert [problem.field for problem in caught.value.problems] == ["--buy-window", "--budget"]


def test_grid_of_a_wrong_file_names_its_fields_and_the_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "spacing: {kind: arithmetic, step: 1}\nrange: {kind: window, buy_window: 3}\n"
        "order_size: {kind: quote, amount: 5}\nbudget_quote: 0\n"
    )
    with pytest.raises(InvalidSettings) as caught:
        grid_of(GridSource(options=GridOptions(), file=file))
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["range.sell_window", "budget_quote"]
    assert str(caught.value).count(f"correct it in {file}") == 2


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        pytest.param(
            source(RANGE),
            "`range.upper` must leave room for one slot above `range.lower`, was 1; use 2",
            "`--upper` must leave room for one slot above `--lower`, was 1; use 2",
            id="every field that is quoted",
        ),
        pytest.param(
            source(step=None, step_bp="3"),
            "`spacing.ratio` must earn, was 1.0003; use 1.002004 or more",
            "`--step-bp` must earn, was 3 bp; use 20.04 bp or more",
            id="ratios in basis points",
        ),
        pytest.param(
            source(order_quote=None, order_base="1"),
            "`order_size.amount` is small",
            "`--order-base` is small",
            id="the option of two that was given",
        ),
        pytest.param(source(), "`anchor` is off", "`--anchor` is off", id="a ladder's anchor"),
        pytest.param(source(), "see `gridkeeper symbol markets`", None, id="a command"),
        pytest.param(source(), "`price` is odd", None, id="a field that no flag sets"),
    ],
)
def test_wording_of_a_refusal_speaks_of_flags(
    given: GridSource, text: str, expected: str | None
) -> None:
    assert Wording(given).of_text(text) == (expected or text)


def test_wording_of_a_refusal_for_a_file_is_left_as_it_is() -> None:
    text = "`spacing.ratio` must earn, was 1.0003"
    from_file = GridSource(options=GridOptions(), file=Path("grid.yaml"))
    assert Wording(from_file).of_text(text) == text
