"""Injected faults: what the client sees, and what the ledger says really happened."""

import asyncio
from typing import Any

import aiohttp
import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually, subscribe

SYMBOL = "BTC/USDT"
PLACE = {"method": "POST", "path": "/api/v3/order"}


async def place(binance: Any, client_order_id: str = "the-one") -> Any:
    params = {"clientOrderId": client_order_id}
    return await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 60_000, params)


@pytest.mark.parametrize(
    ("fault", "error", "accepted"),
    [
        pytest.param(
            {"kind": "timeout_accepted", "delay_s": 0.3}, ccxt.NetworkError, 1, id="accepted"
        ),
        pytest.param({"kind": "timeout_lost", "delay_s": 0.3}, ccxt.NetworkError, 0, id="lost"),
        pytest.param({"kind": "disconnect"}, ccxt.NetworkError, 1, id="disconnect-after"),
        pytest.param(
            {"kind": "disconnect", "when": "before"}, ccxt.NetworkError, 0, id="disconnect-before"
        ),
        pytest.param(
            {"kind": "error", "status": 503}, ccxt.ExchangeNotAvailable, 0, id="error-before"
        ),
        pytest.param(
            {
                "kind": "error_after",
                "status": 504,
                "body": {"code": -1007, "msg": "Timeout waiting for response."},
            },
            ccxt.RequestTimeout,
            1,
            id="error-after",
        ),
        pytest.param({"kind": "rate_limit"}, ccxt.DDoSProtection, 0, id="rate-limit"),
        pytest.param({"kind": "rate_limit", "status": 418}, ccxt.DDoSProtection, 0, id="banned"),
    ],
)
async def test_request_fault_leaves_exactly_what_was_accepted(
    binance: Any, simulator: Simulator, fault: dict[str, Any], error: type, accepted: int
) -> None:
    await simulator.freeze()
    await simulator.arm(**fault, **PLACE)

    with pytest.raises(error):
        await place(binance)

    assert len(await simulator.ledger("order_accepted")) == accepted
    assert len(await binance.fetch_open_orders(SYMBOL)) == accepted
    assert await simulator.control("GET", "faults") == []
    await place(binance, "the-next")


async def test_delayed_request_outside_its_window_is_refused(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    binance.options["recvWindow"] = 200
    await simulator.arm(kind="request_delayed", delay_s=0.5, **PLACE)

    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await place(binance)
    assert await simulator.ledger("order_accepted") == []


async def test_delayed_reply_arrives_late(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    await simulator.arm(kind="reply_delayed", delay_s=0.5, **PLACE)
    pending = asyncio.create_task(place(binance))

    async def accepted() -> bool:
        return len(await simulator.ledger("order_accepted")) == 1

    await eventually(accepted)
    assert not pending.done()
    assert (await pending)["clientOrderId"] == "the-one"


async def test_fault_fires_as_often_as_it_was_armed_for(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    await simulator.arm(kind="error", status=500, count=2, symbol="BTCUSDT", **PLACE)
    for _ in range(2):
        with pytest.raises(ccxt.NetworkError):
            await place(binance)
    await binance.create_order("ETH/USDT", "LIMIT_MAKER", "buy", 0.01, 2000)
    assert (await place(binance))["status"] == "open"


async def test_maintenance_refuses_everything_until_cleared(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.arm(kind="maintenance", duration_s=60)
    with pytest.raises(ccxt.NetworkError):
        await binance.fetch_time()
    await simulator.control("DELETE", "faults")
    assert await binance.fetch_time() > 0


async def test_clock_offset_makes_signed_requests_stale(binance: Any, simulator: Simulator) -> None:
    await simulator.arm(kind="clock_offset_ms", offset_ms=30_000)
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await binance.fetch_balance()
    await binance.load_time_difference()
    binance.options["adjustForTimeDifference"] = True
    assert (await binance.fetch_balance())["USDT"]["free"] == 1_000_000


async def test_changed_filters_apply_at_once_and_survive_in_the_rules(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    await simulator.arm(kind="filters", symbol="BTCUSDT", filters={"tick_size": "0.1"})
    with pytest.raises(ccxt.InvalidOrder):
        await binance.create_order(SYMBOL, "LIMIT_MAKER", "buy", 0.001, 60_000.01)
    markets = await binance.load_markets(True)
    assert markets[SYMBOL]["precision"]["price"] == 0.1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("drop_user_events", ["CANCELED"], id="dropped"),
        pytest.param("duplicate_user_events", ["NEW", "NEW", "CANCELED"], id="duplicated"),
        pytest.param("reorder_user_events", ["CANCELED", "NEW"], id="reordered"),
    ],
)
async def test_user_event_fault_changes_what_is_delivered(
    binance: Any, simulator: Simulator, kind: str, expected: list[str]
) -> None:
    await simulator.freeze()
    events = await subscribe(simulator, binance)
    await simulator.arm(kind=kind)
    await place(binance)
    await binance.cancel_order("", SYMBOL, {"clientOrderId": "the-one"})

    assert await events.executions(len(expected)) == expected


async def test_disconnected_streams_close_and_can_be_opened_again(
    binance: Any, simulator: Simulator
) -> None:
    events = await subscribe(simulator, binance)
    await simulator.arm(kind="ws_disconnect", stream="user")
    async with asyncio.timeout(5):
        assert (await events.socket.receive()).type is aiohttp.WSMsgType.CLOSE

    again = await subscribe(simulator, binance)
    await simulator.freeze()
    await place(binance)
    assert await again.executions(1) == ["NEW"]


async def watch_for_ever(binance: Any) -> None:
    while True:
        await binance.watch_bids_asks([SYMBOL])


async def test_silent_market_stream_sends_nothing_until_cleared(
    binance: Any, simulator: Simulator
) -> None:
    await binance.watch_bids_asks([SYMBOL])
    await simulator.arm(kind="ws_silent", stream="market", duration_s=60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch_for_ever(binance), 0.6)
    await simulator.control("DELETE", "faults")
    async with asyncio.timeout(5):
        await binance.watch_bids_asks([SYMBOL])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "nope"}, id="unknown-kind"),
        pytest.param({"kind": "error", "colour": "red"}, id="unknown-field"),
        pytest.param({"kind": "error", "count": 0}, id="no-count"),
    ],
)
async def test_fault_that_makes_no_sense_arms_nothing(
    simulator: Simulator, fault: dict[str, Any]
) -> None:
    good = {"kind": "error", "status": 500}
    with pytest.raises(aiohttp.ClientResponseError, match="422"):
        await simulator.control("POST", "faults", [good, fault])
    assert await simulator.control("GET", "faults") == []
