"""Spot orders over the WebSocket API as unmodified ccxt.pro sends them, and candles as streams."""

import asyncio
from contextlib import suppress
from typing import Any

import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually

SYMBOL = "BTC/USDT"
TIMEOUT_S = 5.0


async def test_order_lives_over_the_websocket_api(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    by_client_id = {"newClientOrderId": "over-ws"}
    async with asyncio.timeout(TIMEOUT_S):
        placed = await binance.create_order_ws(
            SYMBOL, "LIMIT_MAKER", "buy", 0.01, 60_000, by_client_id
        )
        assert (placed["status"], placed["clientOrderId"]) == ("open", "over-ws")
        assert (await binance.fetch_order_ws(placed["id"], SYMBOL))["id"] == placed["id"]
        assert len(await binance.fetch_open_orders_ws(SYMBOL)) == 1
        edited = await binance.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, 60_000)
        assert edited["amount"] == 0.02
        assert (await binance.cancel_order_ws(edited["id"], SYMBOL))["status"] == "canceled"
        await binance.create_order_ws(SYMBOL, "limit", "buy", 0.01, 60_000)
        assert len(await binance.cancel_all_orders_ws(SYMBOL)) == 1
        balance = await binance.fetch_balance_ws()
    # ccxt 4.5.90 leaves spot balances of this call unparsed
    (row,) = (row for row in balance["info"]["balances"] if row["asset"] == "USDT")
    assert (row["free"], row["locked"]) == ("1000000.00000000", "0.00000000")


async def test_refusal_over_the_websocket_api_has_its_code(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await binance.create_order_ws(SYMBOL, "LIMIT_MAKER", "buy", 0.01, 70_000)
    with pytest.raises(ccxt.BaseError, match="-1104"):
        await binance.create_order_ws(
            SYMBOL, "limit", "buy", 0.01, 60_000, {"clientOrderId": "leaked"}
        )
    with pytest.raises(ccxt.BaseError, match="-2011"):
        await binance.cancel_order_ws("77", SYMBOL)


async def test_replacement_over_the_websocket_api_may_fail_by_half(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    old = await binance.create_order(SYMBOL, "limit", "buy", 0.01, 60_000)
    with pytest.raises(ccxt.BaseError, match="-2021"):
        await binance.edit_order_ws(old["id"], SYMBOL, "limit", "buy", 0.00001, 60_000)
    assert await binance.fetch_open_orders(SYMBOL) == []


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        pytest.param({"kind": "timeout_lost"}, 0, id="lost"),
        pytest.param({"kind": "timeout_accepted"}, 1, id="accepted"),
        pytest.param({"kind": "disconnect"}, 1, id="disconnect"),
    ],
)
async def test_fault_of_the_rest_path_hits_the_websocket_call(
    binance: Any, simulator: Simulator, fault: dict[str, str], accepted: int
) -> None:
    async def was_hit() -> bool:
        return await simulator.control("GET", "faults") == []

    await simulator.freeze()
    await simulator.arm(method="POST", path="/api/v3/order", **fault)
    placing = asyncio.create_task(binance.create_order_ws(SYMBOL, "limit", "buy", 0.01, 60_000))
    await eventually(was_hit)
    assert len(await simulator.ledger("order_accepted")) == accepted
    if fault["kind"] == "disconnect":
        with pytest.raises(ccxt.NetworkError):
            await placing
    else:
        # A call that is made later is answered, this one is not.
        assert len(await binance.fetch_open_orders_ws(SYMBOL)) == accepted
        assert not placing.done()
        placing.cancel()
        with suppress(asyncio.CancelledError):
            await placing


async def test_candle_stream_shows_the_open_candle(binance: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        streamed = await binance.watch_ohlcv(SYMBOL, "1m")
    fetched = await binance.fetch_ohlcv(SYMBOL, "1m")
    assert streamed[-1][0] in {row[0] for row in fetched}
    assert streamed[-1][3] <= streamed[-1][4] <= streamed[-1][2]


async def test_filters_change_while_running(binance: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    body = {"symbol": "BTCUSDT", "filters": {"min_notional": "1000", "step_size": "0.01"}}
    await simulator.control("POST", "filters", body)
    with pytest.raises(ccxt.BaseError, match="NOTIONAL"):
        await binance.create_order(SYMBOL, "limit", "buy", 0.01, 60_000)
    market = (await binance.load_markets(True))[SYMBOL]
    assert (market["precision"]["amount"], market["limits"]["cost"]["min"]) == (0.01, 1000)
