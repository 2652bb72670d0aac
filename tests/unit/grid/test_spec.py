"""The form of a spec: what reads, what writes, what is refused whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from grid.spec import GridSpec
from unit.grid.factories import make_spec


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="arithmetic window by base"),
        pytest.param({"spacing": {"kind": "geometric", "ratio": "1.0005"}}, id="geometric"),
        pytest.param({"range": {"kind": "fixed", "lower": "90", "upper": "110"}}, id="fixed"),
        pytest.param({"order_size": {"kind": "quote", "amount": "1E+3"}}, id="by quote"),
        pytest.param({"placement_buffer": "0", "price_collar": "0.999"}, id="limits of fractions"),
    ],
)
def test_spec_written_as_json_reads_back_equal(changes: dict[str, Any]) -> None:
    spec = make_spec(**changes)
    assert GridSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert GridSpec.model_validate_json(spec.model_dump_json()) == spec
    json.loads(spec.model_dump_json(), parse_float=pytest.fail)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        pytest.param({"skew": "1"}, "skew", id="an unknown field"),
        pytest.param({"spacing": {"kind": "fibonacci"}}, "spacing", id="an unknown spacing"),
        pytest.param({"spacing": {"kind": "arithmetic", "ratio": "2"}}, "step", id="a mix"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": 0.1}}, "step", id="a float"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": True}}, "step", id="a truth value"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": "NaN"}}, "step", id="not a number"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": "0"}}, "step", id="zero"),
        pytest.param({"spacing": {"kind": "arithmetic", "step": "-1"}}, "step", id="negative"),
        pytest.param({"spacing": {"kind": "geometric", "ratio": "1"}}, "ratio", id="ratio of one"),
        pytest.param({"budget_quote": "Infinity"}, "budget_quote", id="infinite"),
        pytest.param({"budget_quote": "1e400"}, "budget_quote", id="huge"),
        pytest.param({"budget_quote": "1e-400"}, "budget_quote", id="tiny"),
        pytest.param({"budget_quote": "1" * 100_000}, "budget_quote", id="long"),
        pytest.param({"budget_quote": None}, "budget_quote", id="nothing"),
        pytest.param({"placement_buffer": "1"}, "placement_buffer", id="a buffer of one step"),
        pytest.param({"price_collar": "0"}, "price_collar", id="a collar of nothing"),
        pytest.param({"max_open_orders": 0}, "max_open_orders", id="no orders"),
        pytest.param({"max_open_orders": "5"}, "max_open_orders", id="a count as text"),
        pytest.param(
            {"range": {"kind": "window", "buy_window": 201, "sell_window": 1}},
            "buy_window",
            id="a wide window",
        ),
        pytest.param(
            {"range": {"kind": "fixed", "lower": "110", "upper": "110"}}, "range", id="no range"
        ),
    ],
)
def test_spec_malformed_is_refused_by_field(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        make_spec(**changes)
    assert place in {part for error in refusal.value.errors() for part in error["loc"]}
