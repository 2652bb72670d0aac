"""Rows of the fault matrix about what must never get in or out, by one running system each.

Malformed requests beside a symbol that trades, a grid that has gone mad before the risk gate, and
own orders that never meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from cli.local_system import Market, demo_spec
from orchestrator.bootstrap import new_request_id
from support import planted
from support.serving import free_port
from support.system import PATIENCE_S, RunningSystem, eventually, running_system

SYMBOL = "BTC/USDT"
PROGRAM = str(Path(planted.__file__).resolve())
TOKEN = "a-token-for-tests-only"
JSON = {"Content-Type": "application/json"}

SOUND = {
    "spacing": '{"kind": "geometric", "ratio": "1.001"}',
    "range": '{"kind": "window", "buy_window": 3, "sell_window": 3}',
    "order_size": '{"kind": "quote", "amount": "50"}',
    "budget_quote": '"1000"',
}
#: What of it is spoiled, and how.
SPOILED = {
    "budget_quote": ("NaN", '"NaN"', '"Infinity"', "1e400", '"1e400"', "-5", "[1000]", "null"),
    "order_size": ("7", '{"kind": "quote", "amount": "0"}', '{"kind": "all", "amount": "50"}'),
    "max_open_orders": ("1000000000", "2.5", '"many"'),
    "surprise": ("1",),
}
ASKED = """
    SELECT (SELECT count(*) FROM dbos.workflow_status WHERE name = 'apply_change') AS requests,
           (SELECT count(*) FROM shards) AS shards, (SELECT count(*) FROM specs) AS specs
"""

BUDGET = Decimal(400)
MAX_OPEN_ORDERS = 5
COLLAR = Decimal("0.1")
FEW = demo_spec("1.01") | {
    "budget_quote": str(BUDGET),
    "max_open_orders": MAX_OPEN_ORDERS,
    "price_collar": str(COLLAR),
}
REFUSED = """
    SELECT DISTINCT refusal ->> 'rule' FROM decisions, jsonb_array_elements(refused) AS refusal
"""
RULES = {"max_open_orders", "max_order", "price_collar", "orders_per_minute"}
#: Of the account's limits; the venue has no more than that.
PERCENT = 20
SHARE = Market(
    symbols=(SYMBOL,),
    weight_per_minute=6_000 * PERCENT // 100,
    orders_per_10s=100 * PERCENT // 100,
)
#: When each order was decided, sent or not.
WANTED = "SELECT extract(epoch FROM intended_at) * 1000 AS at_ms FROM orders ORDER BY intended_at"
ENDS = {"order_cancelled", "order_expired"}


async def ledger(running: RunningSystem) -> list[dict[str, Any]]:
    told: Any = await running.system.control("/control/ledger")
    records: list[dict[str, Any]] = told["records"]
    return records


def resting(records: list[dict[str, Any]]) -> Iterator[dict[str, dict[str, Any]]]:
    """What rests of our orders, after each record that changes it."""
    open_orders: dict[str, dict[str, Any]] = {}
    for record in records:
        name = record.get("client_order_id")
        if record["kind"] == "order_accepted":
            open_orders[name] = record | {"rest": Decimal(record["quantity"])}
        elif record["kind"] == "order_filled":
            open_orders[name]["rest"] -= Decimal(record["quantity"])
            if not open_orders[name]["rest"]:
                del open_orders[name]
        elif record["kind"] in ENDS:
            del open_orders[name]
        else:
            continue
        yield open_orders


async def test_row_25_malformed_requests_are_refused_before_any_effect() -> None:
    port = free_port()
    async with running_system(
        GRIDKEEPER_API__PORT=str(port), GRIDKEEPER_API__TOKEN=TOKEN
    ) as running:
        await running.add(SYMBOL)
        before = await running.rows(ASKED)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client:
            for name, texts in SPOILED.items():
                for text in texts:
                    spec = ", ".join(f'"{k}": {v}' for k, v in (SOUND | {name: text}).items())
                    body = f'{{"symbol": "ETH/USDT", "spec": {{{spec}}}}}'
                    answer = await client.post("/api/v1/symbols", content=body, headers=JSON)
                    assert answer.status_code in {400, 422}, (name, text, answer.text)
                    assert answer.headers["Content-Type"] == "application/problem+json"
                    assert name in answer.text or "JSON" in answer.text, (name, text, answer.text)
        assert await running.rows(ASKED) == before
        await running.exchange_has_traded(2)
        await running.assert_sound()


def most_in_10_s(times_ms: Sequence[float]) -> int:
    """How many of these fall into the fullest window, wherever it lies."""
    return max(sum(0 <= last_ms - each_ms < 10_000 for each_ms in times_ms) for last_ms in times_ms)


async def test_row_26_grid_that_has_gone_mad_is_held_by_the_gate_and_the_rate_budget() -> None:
    async with running_system(
        market=SHARE,
        node_command=(PROGRAM, "runaway", "up"),
        GRIDKEEPER_ACCOUNT__LIMITS_PERCENT=str(PERCENT),
    ) as running:
        await running.add_grid(SYMBOL, FEW)

        async def is_refused() -> bool:
            state: Any = await running.system.control("/control/state")
            assert state["rate_refusals"] == 0
            return {row[0] for row in await running.rows(REFUSED)} >= RULES

        await eventually(is_refused, f"refusals by {RULES}")
        wanted = await running.rows(WANTED)
        records = await ledger(running)

    accepted = [record for record in records if record["kind"] == "order_accepted"]
    most_wanted = most_in_10_s([float(order.at_ms) for order in wanted])
    most_accepted = most_in_10_s([record["time_ms"] for record in accepted])
    assert most_accepted <= SHARE.orders_per_10s < most_wanted
    highest = max(Decimal(record["price"]) for record in accepted)
    assert all(Decimal(each["price"]) > highest * (1 - 2 * COLLAR) for each in accepted)
    for orders in resting(records):
        entries = [order for order in orders.values() if order["side"] == "BUY"]
        assert len(orders) <= MAX_OPEN_ORDERS
        assert sum(order["rest"] * Decimal(order["price"]) for order in entries) <= BUDGET


async def test_row_27_own_orders_never_meet_while_the_grid_moves_and_the_node_dies() -> None:
    async with running_system(market=Market(symbols=(SYMBOL,))) as running:
        await running.add_grid(SYMBOL, demo_spec("1.0005"))
        for made, ratio in enumerate(("1.0008", "1.0004"), start=1):
            await running.exchange_has_traded(4 * made)
            asked = await running.database.requests.update(
                SYMBOL, demo_spec(ratio), new_request_id()
            )
            running.acknowledged.append(asked)
            await running.restart_node()
            assert (await running.database.requests.wait(asked, PATIENCE_S)).result is not None
        await running.exchange_has_traded(12)
        records = await ledger(running)
        await running.assert_sound()

    fills = [record for record in records if record["kind"] == "order_filled"]
    assert {"BUY", "SELL"} == {fill["side"] for fill in fills}
    assert max(Counter(fill["trade_id"] for fill in fills).values()) == 1
    both = 0
    for orders in resting(records):
        bids = [Decimal(each["price"]) for each in orders.values() if each["side"] == "BUY"]
        asks = [Decimal(each["price"]) for each in orders.values() if each["side"] == "SELL"]
        if bids and asks:
            both += 1
            assert max(bids) < min(asks)
    assert both
