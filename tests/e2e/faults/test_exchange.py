"""Lost replies, fills while down, a person on the same account, graceful stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from cli.local_system import Market
from orchestrator.bootstrap import new_request_id
from support.system import RunningSystem, eventually, running_system
from symbol_manager.freshness import BEHIND, STALE

#: Orders whose plan's step ended without knowing what became of them.
UNKNOWN = """
    SELECT told.key AS client_order_id
      FROM dbos.operation_outputs, jsonb_each(output::jsonb -> 'orders') AS plan,
           jsonb_each_text(plan.value) AS told
     WHERE function_name = 'submit' AND told.value = 'unknown'
"""
#: What the slots of a symbol hold, and what its own trades say.
INVENTORY = """
    SELECT (SELECT sum(inventory) FROM slots WHERE slots.shard = shards.shard) AS held,
           (SELECT sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END)
                   - coalesce(sum(fee) FILTER (WHERE fee_asset = 'BTC'), 0)
              FROM fills WHERE fills.shard = shards.shard AND origin = 'own') AS traded
      FROM shards WHERE symbol = 'BTC/USDT'
"""
STATUSES = "SELECT client_order_id, status FROM orders WHERE client_order_id = ANY (:ids)"
RESTS = {"open", "partially_filled", "filled", "cancelled"}
HALTED = "SELECT 1 FROM shards WHERE status_reason = :reason HAVING count(*) = 2"
#: By which the exchange's clock is off.
JUMP_MS = 30_000
#: How late a reply comes, or a request arrives, at the worst.
LATE_S = 60.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[RunningSystem]:
    async with running_system(
        GRIDKEEPER_ACCOUNT__REQUEST_TIMEOUT_MS="3000",
        GRIDKEEPER_RECONCILE_EVERY_S="3",
        GRIDKEEPER_STALE_AFTER_MS="3000",
    ) as running:
        await running.add("BTC/USDT", "ETH/USDT")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def trading(started: RunningSystem) -> AsyncIterator[RunningSystem]:
    yield started
    await started.system.control("/control/faults", method="DELETE")


@pytest.mark.parametrize(
    ("fault", "rests"),
    [
        pytest.param({"kind": "timeout_accepted", "delay_s": 6}, True, id="rests"),
        pytest.param({"kind": "timeout_lost", "delay_s": 6}, False, id="never-arrived"),
        pytest.param({"kind": "reply_delayed", "delay_s": 6}, True, id="late"),
        pytest.param({"kind": "error", "status": 503}, False, id="503-lost"),
        pytest.param({"kind": "error_after", "status": 503}, True, id="503-rests"),
        pytest.param({"kind": "disconnect", "when": "after"}, True, id="cut"),
    ],
)
async def test_order_with_lost_reply_is_resolved_by_look_up(
    trading: RunningSystem, fault: dict[str, Any], *, rests: bool
) -> None:
    before = {row.client_order_id for row in await trading.rows(UNKNOWN)}
    armed = fault | {"method": "POST", "path": "/api/v3/order", "count": 2}
    await trading.system.control("/control/faults", [armed])

    async def unknown() -> set[str]:
        return {row.client_order_id for row in await trading.rows(UNKNOWN)} - before

    async def two_are_unknown() -> bool:
        ids, accepted = await unknown(), await _accepted(trading)
        return sum((name in accepted) is rests for name in ids) >= 2

    async def all_are_resolved() -> bool:
        ids, accepted = await unknown(), await _accepted(trading)
        return all(
            row.status in (RESTS if row.client_order_id in accepted else {"absent"})
            for row in await trading.rows(STATUSES, ids=list(ids))
        )

    await eventually(two_are_unknown, "two orders' outcomes are unknown")
    await eventually(all_are_resolved, "each becomes what the exchange knows of it")
    await trading.system.control("/control/faults", method="DELETE")
    await trading.assert_sound()


async def test_fills_while_down_are_found_at_start(trading: RunningSystem) -> None:
    await trading.until_trading()
    await trading.until_rows(
        "SELECT 1 FROM orders WHERE status = 'open' AND side = 'buy' HAVING count(*) >= 2"
    )
    await trading.system.kill_node()
    known = await trading.value("SELECT count(*) FROM fills")
    lowest = await trading.value(
        "SELECT min(price) FROM orders JOIN shards USING (shard)"
        " WHERE orders.status = 'open' AND side = 'buy' AND symbol = 'BTC/USDT'"
    )
    await trading.system.control(
        "/control/price", {"symbol": "BTCUSDT", "price": str(lowest - Decimal("10.00"))}
    )
    assert await trading.value("SELECT count(*) FROM fills") == known

    await trading.system.start_node()

    await trading.until_rows("SELECT 1 FROM fills HAVING count(*) > :n", n=known)
    await trading.assert_sound()


async def test_manual_trade_is_recorded_as_external_and_left_alone(
    trading: RunningSystem,
) -> None:
    async def by_hand(**order: str) -> Any:
        body = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.00100"} | order
        return await trading.system.control("/control/order", body)

    await trading.until_rows("SELECT 1 FROM slots WHERE inventory > 0")
    resting = await by_hand(type="LIMIT", price="50000.00")
    await by_hand(type="MARKET")

    await trading.until_rows("SELECT 1 FROM fills WHERE origin = 'external' AND quantity = 0.001")

    assert await trading.value("SELECT count(*) FROM findings WHERE kind = 'external_trade'") >= 1
    ((held, traded),) = await trading.rows(INVENTORY)
    assert held is not None
    assert held == traded
    await trading.assert_sound()
    state: Any = await trading.system.control("/control/state")
    orders = {order["orderId"]: order for order in state["accounts"]["main"]["open_orders"]}
    assert orders[resting["orderId"]]["status"] == "NEW"
    await trading.system.control(
        "/control/cancel", {"symbol": "BTCUSDT", "order_id": resting["orderId"]}
    )


async def test_order_cancelled_by_hand_is_placed_again(trading: RunningSystem) -> None:
    order = (
        await trading.until_rows(
            "SELECT client_order_id, venue_order_id FROM orders JOIN shards USING (shard)"
            " WHERE orders.status = 'open' AND symbol = 'BTC/USDT' AND side = 'buy'"
            " ORDER BY price LIMIT 1"
        )
    )[0]
    await trading.system.control(
        "/control/cancel", {"symbol": "BTCUSDT", "order_id": int(order.venue_order_id)}
    )

    await trading.until_rows(
        "SELECT 1 FROM orders WHERE client_order_id = :id AND status IN ('cancelled', 'filled')",
        id=order.client_order_id,
    )

    await trading.assert_sound()


async def test_missed_events_are_found_by_the_next_comparison(trading: RunningSystem) -> None:
    """None of the account's orders is told of until the missed fills are in the database."""
    before = await _trades(trading)
    await trading.system.control("/control/faults", [{"kind": "drop_user_events", "count": 10_000}])
    missed: set[str] = set()

    async def fills_are_missed() -> bool:
        nonlocal missed
        missed = await _trades(trading) - before
        (fault,) = await _armed(trading)
        return len(missed) > 2 and fault["fired"] > len(missed)

    async def are_recorded() -> bool:
        return missed <= {row.trade_id for row in await trading.rows("SELECT trade_id FROM fills")}

    await eventually(fills_are_missed, "fills that nobody is told of")
    await eventually(are_recorded, "the missed fills are recorded")
    assert len(await _armed(trading)) == 1
    await trading.system.control("/control/faults", method="DELETE")
    await trading.assert_sound()


@pytest.mark.parametrize("kind", ["duplicate_user_events", "reorder_user_events"])
async def test_repeated_or_reordered_events_change_nothing(
    trading: RunningSystem, kind: str
) -> None:
    before = await _trades(trading)
    await trading.system.control("/control/faults", [{"kind": kind, "count": 20}])

    async def is_spent() -> bool:
        return await _armed(trading) == []

    await eventually(is_spent, "twenty events are told otherwise")
    told = await _trades(trading)
    assert told > before
    await trading.exchange_has_traded(len(told) + 2)

    await trading.assert_sound()


async def test_silent_market_pulls_entries_until_prices_are_fresh(
    trading: RunningSystem,
) -> None:
    await trading.system.control(
        "/control/faults", [{"kind": "ws_silent", "stream": "market", "duration_s": 9}]
    )

    halted = await trading.until_rows(
        "SELECT status_reason FROM shards WHERE status = 'halted' AND symbol = 'BTC/USDT'"
    )
    assert "no fresh price" in halted[0].status_reason
    await eventually(lambda: _has_no_entries(trading, "BTC/USDT"), "entries are pulled")

    await trading.assert_sound()


@pytest.mark.parametrize(
    ("jump_ms", "reason"),
    [pytest.param(JUMP_MS, BEHIND, id="ahead"), pytest.param(-JUMP_MS, STALE, id="behind")],
)
async def test_row_11_clock_that_jumps_by_30_s_pulls_entries_by_its_own_time(
    trading: RunningSystem, jump_ms: int, reason: str
) -> None:
    """The cancels as well are refused until they are signed by the time after the jump."""
    await trading.until_trading()
    await _set_clock(trading, jump_ms)

    async def no_entry_rests() -> bool:
        state: Any = await trading.system.control("/control/state")
        return all(order["side"] == "SELL" for order in state["accounts"]["main"]["open_orders"])

    await trading.until_rows(HALTED, reason=reason)
    await eventually(no_entry_rests, "no entry rests while nobody knows how old prices are")
    await trading.system.control("/control/faults", method="DELETE")
    await trading.assert_sound()


async def test_rate_refusal_is_waited_out(trading: RunningSystem) -> None:
    """Every request is refused; what was under way already is heard of within the first half."""
    told_s = 12
    await trading.system.control(
        "/control/faults", [{"kind": "rate_limit", "count": 10_000, "retry_after_s": told_s}]
    )
    unrefused_s = time.monotonic()
    refused: set[int] = set()

    async def is_over() -> bool:
        nonlocal unrefused_s
        asked_s = time.monotonic()
        (fault,) = await trading.system.control("/control/faults")
        if not fault["fired"]:
            unrefused_s = asked_s
        is_over = time.monotonic() > unrefused_s + told_s
        if not is_over and asked_s > unrefused_s + told_s / 2:
            refused.add(fault["fired"])
        return is_over

    await eventually(is_over, "the time that was told is over")
    assert len(refused) == 1
    await trading.system.control("/control/faults", method="DELETE")
    await trading.assert_sound()


async def test_user_stream_cut_is_made_up_for(trading: RunningSystem) -> None:
    await trading.system.control(
        "/control/faults", [{"kind": "ws_disconnect", "stream": "user", "count": 1}]
    )

    await trading.assert_sound()


async def test_paused_symbol_keeps_exits_and_has_no_entries(trading: RunningSystem) -> None:
    requests = trading.database.requests
    asked = await requests.pause("ETH/USDT", new_request_id())
    progress = await requests.wait(asked, 30)
    assert progress.result is not None
    assert progress.result["outcome"] == "done", progress

    await eventually(lambda: _has_no_entries(trading, "ETH/USDT"), "entries are cancelled")
    resumed = await requests.wait(await requests.resume("ETH/USDT", new_request_id()), 30)
    assert resumed.result is not None
    assert resumed.result["outcome"] == "done", resumed
    await trading.assert_sound()


async def test_kill_switch_cancels_all_and_rearms(trading: RunningSystem) -> None:
    requests = trading.database.requests
    killed = await requests.wait(await requests.kill("test", new_request_id()), 30)
    assert killed.result is not None
    assert killed.result["outcome"] == "done", killed
    state: Any = await trading.system.control("/control/state")
    assert state["accounts"]["main"]["open_orders"] == []

    await requests.wait(await requests.rearm("test over", new_request_id()), 30)

    await trading.assert_sound()


async def test_row_04_order_and_reply_that_are_60_s_late_change_nothing() -> None:
    """What became of both was concluded long before."""
    async with running_system(
        market=Market(symbols=("BTC/USDT",)), GRIDKEEPER_ACCOUNT__REQUEST_TIMEOUT_MS="3000"
    ) as running:
        place = {"method": "POST", "path": "/api/v3/order", "delay_s": LATE_S, "count": 1}
        await running.system.control(
            "/control/faults",
            [{"kind": "reply_delayed"} | place, {"kind": "request_delayed"} | place],
        )
        await running.add("BTC/USDT")

        async def statuses() -> dict[str, str]:
            ids = [row.client_order_id for row in await running.rows(UNKNOWN)]
            return {
                row.client_order_id: row.status for row in await running.rows(STATUSES, ids=ids)
            }

        async def are_concluded() -> bool:
            concluded = set((await statuses()).values())
            return len(concluded) == 2 and concluded <= RESTS | {"absent"}

        began_s = time.monotonic()
        await eventually(are_concluded, "one order rests, the other is absent")
        assert time.monotonic() - began_s < LATE_S
        await asyncio.sleep(began_s + LATE_S + 2.0 - time.monotonic())

        accepted = await _accepted(running)
        assert len(await statuses()) == 2
        for client_order_id, status in (await statuses()).items():
            assert status in (RESTS if client_order_id in accepted else {"absent"})
        await running.assert_sound()


@pytest.mark.parametrize("on_shutdown", ["keep", "cancel"])
async def test_graceful_stop_keeps_or_cancels_orders(on_shutdown: str) -> None:
    async with running_system(
        market=Market(symbols=("BTC/USDT",)), GRIDKEEPER_ON_SHUTDOWN=on_shutdown
    ) as running:
        await running.add("BTC/USDT")
        await running.until_rows("SELECT 1 FROM orders WHERE status = 'open'")

        assert await running.system.stop_node() == 0, running.system.log_tail("node")

        state: Any = await running.system.control("/control/state")
        is_empty = state["accounts"]["main"]["open_orders"] == []
        assert is_empty is (on_shutdown == "cancel")
        assert await running.rows("SELECT 1 FROM nodes") == []
        await running.system.start_node()
        await running.assert_sound()


async def _set_clock(trading: RunningSystem, offset_ms: int) -> None:
    """Have the exchange's clock be off by so much, until faults are cleared."""
    offset = {"kind": "clock_offset_ms", "offset_ms": offset_ms}
    await trading.system.control("/control/faults", [offset])


async def _accepted(trading: RunningSystem) -> set[str]:
    """Client ids of the orders that the exchange ever accepted."""
    ledger: Any = await trading.system.control("/control/ledger")
    records = [record for record in ledger["records"] if record["kind"] == "order_accepted"]
    return {record["client_order_id"] for record in records}


async def _trades(trading: RunningSystem) -> set[str]:
    """Ids of the fills that the exchange ever made."""
    ledger: Any = await trading.system.control("/control/ledger")
    return {str(record["trade_id"]) for record in ledger["records"] if "trade_id" in record}


async def _armed(trading: RunningSystem) -> list[dict[str, Any]]:
    """The faults that are not spent."""
    armed: Any = await trading.system.control("/control/faults")
    faults: list[dict[str, Any]] = armed
    return faults


async def _has_no_entries(trading: RunningSystem, symbol: str) -> bool:
    return not await trading.rows(
        "SELECT 1 FROM orders JOIN shards USING (shard) WHERE symbol = :symbol AND side = 'buy'"
        " AND orders.status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')",
        symbol=symbol,
    )
