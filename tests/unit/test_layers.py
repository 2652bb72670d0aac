"""The gates before an order cannot be walked around: read in the source, not believed."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
#: Orders of the simulated exchange and of the auditor's readings are not ours to send.
JUDGES = ("simulator", "audit")
#: The one module that changes anything at a venue.
ADAPTER = "exchanges/order_entry.py"


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the product, with the module it stands in."""
    for path in sorted(SRC.rglob("*.py")):
        module = path.relative_to(SRC).as_posix()
        if not module.startswith(JUDGES):
            for node in ast.walk(ast.parse(path.read_text(), path.name)):
                if isinstance(node, ast.Call):
                    yield module, node


def callers(is_meant: Callable[[ast.Call], bool]) -> set[str]:
    return {module for module, call in calls() if is_meant(call)}


def called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def receiver_name(call: ast.Call) -> str:
    """Last name before the method: ``exchange`` of ``self._exchange.submit()``."""
    match call.func:
        case ast.Attribute(value=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name.lstrip("_")
    return ""


@pytest.mark.parametrize(
    ("method", "modules"),
    [
        pytest.param("create_order", {ADAPTER}, id="create"),
        pytest.param("cancel_order", {ADAPTER}, id="cancel"),
        pytest.param("edit_order", set(), id="edit"),
    ],
)
def test_order_methods_of_the_venue_are_called_by_one_adapter_only(
    method: str, modules: set[str]
) -> None:
    spellings = {method, f"{method}s", f"{method}_ws", f"{method}s_ws"}
    assert callers(lambda call: called_name(call) in spellings) == modules


def test_what_else_changes_something_at_the_venue_is_called_by_the_same_adapter() -> None:
    changing = {"set_margin", "set_countdown"}
    assert callers(lambda call: called_name(call) in changing) == {ADAPTER}


def test_order_methods_are_not_reached_by_name() -> None:
    """No `getattr(exchange, "create_order")` either."""
    spelled = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(), path.name))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in {"create_order", "cancel_order", "edit_order"}
    }
    assert {module for module in spelled if not module.startswith(JUDGES)} <= {ADAPTER}


def test_exchange_submit_is_called_by_plan_execution_only() -> None:
    assert callers(
        lambda call: called_name(call) == "submit" and receiver_name(call) == "exchange"
    ) == {"symbol_manager/execute.py"}
    assert callers(
        lambda call: called_name(call) == "submit" and receiver_name(call) == "orders"
    ) == {"exchanges/ccxt_exchange.py"}


def test_cancels_without_commit_are_sent_by_the_last_resort_only() -> None:
    assert callers(
        lambda call: called_name(call) == "cancel" and receiver_name(call) == "exchange"
    ) == {"orchestrator/last_resort.py"}


def test_risk_approved_is_made_by_the_gate_and_for_plans_without_orders_only() -> None:
    made = callers(lambda call: called_name(call) == "RiskApproved")
    assert made == {"risk/gate.py", "symbol_manager/decide.py"}


def test_committed_plan_is_made_by_the_store_only() -> None:
    made = callers(lambda call: called_name(call) == "CommittedPlan")
    assert made == {"store/repository.py"}


@pytest.mark.parametrize(
    ("source", "name", "receiver"),
    [
        pytest.param("await self._exchange.submit(p)", "submit", "exchange", id="attribute"),
        pytest.param("exchange.create_order(x)", "create_order", "exchange", id="variable"),
        pytest.param("plans.RiskApproved(p)", "RiskApproved", "plans", id="module"),
        pytest.param("CommittedPlan(p)", "CommittedPlan", "", id="name"),
    ],
)
def test_call_reader_sees_every_way_to_write_a_call(source: str, name: str, receiver: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    assert (called_name(call), receiver_name(call)) == (name, receiver)
