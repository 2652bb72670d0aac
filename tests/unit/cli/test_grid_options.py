"""Grids from options and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.grid_options import GridOptions, Spacing
from cli.grid_spec import read_spec, spec_of
from domain.errors import ConfigurationError
from grid.spec import GridSpec

COMPLETE: dict[str, Any] = {
    "step": "10",
    "buy_window": 5,
    "sell_window": 5,
    "order_quote": "50",
    "budget": "1000",
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in COMPLETE.items() if name not in names}


@pytest.mark.parametrize(
    ("options", "part", "expected"),
    [
        pytest.param(COMPLETE, "spacing", {"kind": "arithmetic", "step": "10"}, id="step"),
        pytest.param(
            without("step") | {"step_bp": "5"},
            "spacing",
            {"kind": "geometric", "ratio": "1.0005"},
            id="basis points become a ratio",
        ),
        pytest.param(
            COMPLETE, "range", {"kind": "window", "buy_window": 5, "sell_window": 5}, id="window"
        ),
        pytest.param(
            COMPLETE | {"anchor": "60000"},
            "range",
            {"kind": "window", "buy_window": 5, "sell_window": 5, "anchor": "60000"},
            id="anchor",
        ),
        pytest.param(
            without("buy_window", "sell_window") | {"lower": "100", "upper": "200"},
            "range",
            {"kind": "fixed", "lower": "100", "upper": "200"},
            id="fixed range",
        ),
        pytest.param(
            without("step", "buy_window", "sell_window")
            | {"count": 21, "lower": "100", "upper": "200"},
            "spacing",
            {"kind": "division", "count": 21, "progression": "arithmetic"},
            id="count of levels",
        ),
        pytest.param(
            without("step", "buy_window", "sell_window")
            | {"count": 21, "spacing": Spacing.GEOMETRIC, "lower": "100", "upper": "200"},
            "spacing",
            {"kind": "division", "count": 21, "progression": "geometric"},
            id="count of levels in proportion",
        ),
        pytest.param(COMPLETE, "order_size", {"kind": "quote", "amount": "50"}, id="quote size"),
        pytest.param(
            without("order_quote") | {"order_base": "0.001"},
            "order_size",
            {"kind": "base", "amount": "0.001"},
            id="base size",
        ),
        pytest.param(COMPLETE | {"price_collar": "0.1"}, "price_collar", "0.1", id="collar"),
    ],
)
def test_spec_of_options_has_the_part(options: dict[str, Any], part: str, expected: object) -> None:
    spec = spec_of(GridOptions(**options), None)
    assert spec[part] == expected
    GridSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param(without("budget"), "without --budget", id="no budget"),
        pytest.param(without("step"), "without --step or --step-bp", id="no step"),
        pytest.param(without("sell_window"), "without --sell-window", id="half a window"),
        pytest.param(COMPLETE | {"step_bp": "5"}, "both --step, --step-bp", id="two steps"),
        pytest.param(COMPLETE | {"count": 5}, "both --count, --step", id="step and count"),
        pytest.param(
            without("step") | {"count": 5}, "--count without --lower", id="count of a window"
        ),
        pytest.param(COMPLETE | {"order_base": "1"}, "both --order-base", id="two sizes"),
        pytest.param(COMPLETE | {"lower": "1"}, "--lower exclude", id="range and window"),
        pytest.param(
            COMPLETE | {"spacing": Spacing.GEOMETRIC}, "without --step-bp", id="spacing and step"
        ),
        pytest.param(without("step") | {"step_bp": "1e"}, "--step-bp 1e", id="no number"),
        pytest.param(without("step") | {"step_bp": "nan"}, "--step-bp nan", id="not a number"),
    ],
)
def test_spec_of_contradictory_options_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        spec_of(GridOptions(**options), None)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "grid.json",
            '{"spacing": {"kind": "arithmetic", "step": 0.1}, "budget_quote": 1000,'
            ' "range": {"kind": "window", "buy_window": 5, "sell_window": 5},'
            ' "order_size": {"kind": "quote", "amount": "50"}}',
            id="json",
        ),
        pytest.param(
            "grid.yaml",
            "spacing: {kind: arithmetic, step: 0.1}\nbudget_quote: 1000\n"
            "range: {kind: window, buy_window: 5, sell_window: 5}\n"
            'order_size: {kind: quote, amount: "50"}\n',
            id="yaml",
        ),
    ],
)
def test_read_spec_keeps_numbers_as_written(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    spec = GridSpec.model_validate(spec_of(GridOptions(), file))
    assert spec.model_dump(mode="json")["spacing"] == {"kind": "arithmetic", "step": "0.1"}


@pytest.mark.parametrize("text", ["- 1\n", "a: [", "a: .nan\nb: 1.2.3e\n: :", "\x00"])
def test_read_spec_of_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_spec(file)


def test_read_spec_of_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_spec(tmp_path / "absent.yaml")


def test_spec_of_file_and_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--file excludes --step"):
        spec_of(GridOptions(step="1"), tmp_path / "grid.yaml")
