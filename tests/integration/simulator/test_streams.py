"""WebSockets as unmodified ccxt.pro sees them."""

import asyncio
from typing import Any

import pytest

from integration.simulator.harness import Simulator, eventually

SYMBOL = "BTC/USDT"
WATCH_TIMEOUT_S = 5.0


async def test_market_streams_deliver_quotes_trades_tickers_and_depth(binance: Any) -> None:
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        best, trades, mini, full, book = await asyncio.gather(
            binance.watch_bids_asks([SYMBOL, "ETH/USDT"]),
            binance.watch_trades(SYMBOL),
            binance.watch_ticker(SYMBOL),
            binance.watch_ticker("ETH/USDT", {"name": "ticker"}),
            binance.watch_order_book(SYMBOL),
        )
    assert all(quote["bid"] < quote["ask"] for quote in best.values())
    assert trades[0]["symbol"] == SYMBOL
    assert mini["timestamp"] > 0
    assert full["bid"] < full["ask"]
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_depth_stream_stays_equal_to_the_snapshot(binance: Any, simulator: Simulator) -> None:
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        for _ in range(15):
            watched = await binance.watch_order_book(SYMBOL)
    await simulator.freeze()
    snapshot = await binance.fetch_order_book(SYMBOL)
    collect = asyncio.create_task(_watch_on(binance))

    async def same() -> bool:
        watched = binance.orderbooks[SYMBOL]
        return (
            list(watched["bids"]) == snapshot["bids"] and list(watched["asks"]) == snapshot["asks"]
        )

    await eventually(same, timeout_s=WATCH_TIMEOUT_S)
    collect.cancel()
    assert watched["nonce"] is not None


async def _watch_on(binance: Any) -> None:
    while True:
        await binance.watch_order_book(SYMBOL)


async def test_mini_ticker_carries_the_time_though_the_market_stands_still(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        first = (await binance.watch_ticker(SYMBOL))["timestamp"]
        second = (await binance.watch_ticker(SYMBOL))["timestamp"]
    assert 500 <= second - first <= 2_500


async def test_user_stream_reports_orders_trades_and_balances(
    binance: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    watches = {
        "orders": asyncio.create_task(binance.watch_orders()),
        "trades": asyncio.create_task(binance.watch_my_trades()),
        "balance": asyncio.create_task(binance.watch_balance()),
    }

    async def subscribed() -> bool:
        return any(
            "ws-api" in url
            and client.subscriptions.get("spot")
            and not client.futures.get("authenticate:signature:spot")
            for url, client in binance.clients.items()
        )

    await eventually(subscribed)
    placed = await binance.create_order(SYMBOL, "market", "buy", 0.01)
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        orders, trades, balance = await asyncio.gather(*watches.values())

    assert orders[0]["id"] == placed["id"]
    assert (trades[0]["order"], trades[0]["amount"]) == (placed["id"], 0.01)
    assert balance["BTC"]["free"] == pytest.approx(0.00999) or balance["BTC"]["free"] == 0


async def test_user_stream_with_a_wrong_signature_delivers_nothing(simulator: Simulator) -> None:
    stranger = await simulator.client(secret="wrong")
    await stranger.load_markets()
    # ccxt 4.5.90 deletes its subscription twice on a refusal, so the refusal shows as KeyError
    with pytest.raises(KeyError, match="spot"):
        await stranger.watch_orders()


async def test_unknown_stream_is_refused(simulator: Simulator) -> None:
    session = await simulator.session()
    async with session.ws_connect("wss://stream.binance.com:9443/ws/0") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 1})
        assert (await socket.receive_json())["error"]["code"] == 2
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert await socket.receive_json() == {"result": None, "id": 2}
        async with asyncio.timeout(WATCH_TIMEOUT_S):
            assert (await socket.receive_json())["e"] == "trade"


async def test_combined_stream_names_its_stream(simulator: Simulator) -> None:
    session = await simulator.session()
    url = "wss://stream.binance.com:9443/stream?streams=btcusdt@bookTicker/ethusdt@trade"
    async with asyncio.timeout(WATCH_TIMEOUT_S), session.ws_connect(url) as socket:
        names = {(await socket.receive_json())["stream"] for _ in range(40)}
    assert names == {"btcusdt@bookTicker", "ethusdt@trade"}
