"""The futures WebSockets as unmodified ccxt.pro sees them."""

import asyncio
from dataclasses import replace
from typing import Any

import ccxt
import pytest

from integration.simulator.harness import Simulator, eventually, running
from simulator.config import FuturesConfig, SimulatorConfig

SYMBOL = "BTC/USDT:USDT"
WATCH_TIMEOUT_S = 5.0


async def listening(usdm: Any, message_hash: str) -> None:
    """Wait until a private socket waits for such a message."""

    async def waits() -> bool:
        return any(
            "/private/" in url and message_hash in client.futures and client.connection is not None
            for url, client in usdm.clients.items()
        )

    await eventually(waits)


async def test_market_streams_deliver_every_kind(usdm: Any) -> None:
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        best, trades, aggregated, mini, full, marks, candles, book = await asyncio.gather(
            usdm.watch_bids_asks([SYMBOL, "ETH/USDT:USDT"]),
            usdm.watch_trades(SYMBOL),
            usdm.watch_trades("ETH/USDT:USDT", None, None, {"name": "aggTrade"}),
            usdm.watch_tickers([SYMBOL]),
            usdm.watch_ticker(SYMBOL),
            usdm.watch_mark_prices([SYMBOL]),
            usdm.watch_ohlcv(SYMBOL, "1m"),
            usdm.watch_order_book(SYMBOL),
        )
    assert all(quote["bid"] < quote["ask"] for quote in best.values())
    assert (trades[0]["symbol"], aggregated[0]["symbol"]) == (SYMBOL, "ETH/USDT:USDT")
    assert mini[SYMBOL]["last"] > 0
    assert full["low"] <= full["last"] <= full["high"]
    assert marks[SYMBOL]["markPrice"] > 0
    assert candles[-1][3] <= candles[-1][4] <= candles[-1][2]
    assert book["bids"][0][0] < book["asks"][0][0]


async def watch_for_ever(usdm: Any) -> None:
    while True:
        await usdm.watch_order_book(SYMBOL)


async def test_depth_stream_stays_equal_to_the_snapshot(usdm: Any, simulator: Simulator) -> None:
    first_nonce = (await usdm.watch_order_book(SYMBOL))["nonce"]
    watching = asyncio.create_task(watch_for_ever(usdm))

    async def has_many_updates() -> bool:
        return int(usdm.orderbooks[SYMBOL]["nonce"]) > first_nonce + 20

    async def equals_snapshot() -> bool:
        watched = usdm.orderbooks[SYMBOL]
        return all(list(watched[side]) == snapshot[side] for side in ("bids", "asks"))

    await eventually(has_many_updates)
    await simulator.freeze()
    snapshot = await usdm.fetch_order_book(SYMBOL)
    await eventually(equals_snapshot)
    assert not watching.done()
    watching.cancel()


async def test_user_stream_reports_orders_trades_positions_and_balances(
    usdm: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    assert await usdm.watch_positions() == []  # the snapshot
    watches = {
        "orders": asyncio.create_task(usdm.watch_orders()),
        "trades": asyncio.create_task(usdm.watch_my_trades()),
        "positions": asyncio.create_task(usdm.watch_positions()),
        "balance": asyncio.create_task(usdm.watch_balance()),
    }
    for message_hash in ("orders", "myTrades", "linear:positions", "linear:balance"):
        await listening(usdm, message_hash)
    placed = await usdm.create_order(SYMBOL, "market", "buy", 0.01)
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        orders, trades, positions, balance = await asyncio.gather(*watches.values())

    assert orders[0]["id"] == placed["id"]
    assert (trades[0]["order"], trades[0]["amount"]) == (placed["id"], 0.01)
    assert (positions[0]["side"], positions[0]["contracts"]) == ("long", 0.01)
    assert balance["USDT"]["total"] == pytest.approx(100_000 - trades[0]["fee"]["cost"])


async def raw_user_stream(simulator: Simulator, usdm: Any) -> Any:
    key = (await usdm.fapiPrivatePostListenKey())["listenKey"]
    session = await simulator.session()
    return await session.ws_connect(f"wss://fstream.binance.com/private/ws?listenKey={key}")


async def receive(socket: Any, kind: str) -> Any:
    """The next event of a kind."""
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        while True:
            event = await socket.receive_json()
            if event["e"] == kind:
                return event


async def test_funding_and_transfers_are_told_as_account_updates(
    usdm: Any, simulator: Simulator
) -> None:
    await simulator.freeze()
    await usdm.create_order(SYMBOL, "market", "sell", 0.1)
    socket = await raw_user_stream(simulator, usdm)
    await simulator.control("POST", "funding", {"rate": "0.0002"})
    funded = (await receive(socket, "ACCOUNT_UPDATE"))["a"]
    assert (funded["m"], funded["P"]) == ("FUNDING_FEE", [])
    deposit = {"market": "futures", "account": "main", "asset": "USDT", "amount": "-5"}
    await simulator.control("POST", "deposit", deposit)
    withdrawn = (await receive(socket, "ACCOUNT_UPDATE"))["a"]
    assert withdrawn["m"] == "WITHDRAW"
    assert float(funded["B"][0]["wb"]) - float(withdrawn["B"][0]["wb"]) == pytest.approx(5)


async def test_leverage_and_liquidation_are_told(usdm: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    socket = await raw_user_stream(simulator, usdm)
    session = await simulator.session()
    forced = await session.ws_connect("wss://fstream.binance.com/market/ws/!forceOrder@arr")
    await usdm.set_leverage(100, SYMBOL)
    assert (await receive(socket, "ACCOUNT_CONFIG_UPDATE"))["ac"] == {"s": "BTCUSDT", "l": 100}
    withdrawn = {"market": "futures", "account": "main", "asset": "USDT", "amount": "-99500"}
    await simulator.control("POST", "deposit", withdrawn)
    await usdm.create_order(SYMBOL, "market", "sell", 0.3)
    move = {"market": "futures", "symbol": "BTCUSDT", "price": "64000"}
    await simulator.control("POST", "price", move)

    while (event := await receive(socket, "ORDER_TRADE_UPDATE"))["o"]["x"] != "CALCULATED":
        assert event["o"]["x"] in {"NEW", "TRADE"}
    assert (event["o"]["o"], event["o"]["X"], event["o"]["S"]) == ("LIQUIDATION", "FILLED", "BUY")
    assert event["o"]["c"].startswith("autoclose-")
    while (position := (await receive(socket, "ACCOUNT_UPDATE"))["a"]["P"][0])["pa"] != "0":
        assert position["pa"] == "-0.3"
    assert (await receive(forced, "forceOrder"))["o"]["s"] == "BTCUSDT"


async def test_listen_key_that_is_not_kept_alive_expires(
    config: SimulatorConfig,
) -> None:
    config = replace(config, futures=FuturesConfig(listen_key_validity_s=1))
    async with running(config) as simulator:
        usdm = await simulator.futures_client()
        socket = await raw_user_stream(simulator, usdm)
        assert (await receive(socket, "listenKeyExpired"))["listenKey"]
        async with asyncio.timeout(WATCH_TIMEOUT_S):
            assert (await socket.receive()).type.name in {"CLOSE", "CLOSED"}
        with pytest.raises(ccxt.BaseError, match="-1125"):
            await usdm.fapiPrivatePutListenKey()


async def test_listen_key_is_the_same_until_it_is_closed(usdm: Any) -> None:
    first = await usdm.fapiPrivatePostListenKey()
    assert await usdm.fapiPrivatePostListenKey() == first
    assert await usdm.fapiPrivatePutListenKey() == first
    await usdm.fapiPrivateDeleteListenKey()
    assert await usdm.fapiPrivatePostListenKey() != first


async def test_orders_over_the_websocket_api(usdm: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    price = round((await usdm.fetch_order_book(SYMBOL))["bids"][0][0] - 300, 1)
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        placed = await usdm.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        edited = await usdm.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, price)
        cancelled = await usdm.cancel_order_ws(placed["id"], SYMBOL)
        balance = await usdm.fetch_balance_ws()
        positions = await usdm.fetch_positions_ws([SYMBOL])
    assert (placed["status"], edited["amount"], cancelled["status"]) == ("open", 0.02, "canceled")
    assert balance["USDT"]["total"] == 100_000
    assert all(position["contracts"] == 0 for position in positions)


async def test_dropped_event_leaves_the_account_as_it_is(usdm: Any, simulator: Simulator) -> None:
    await simulator.freeze()
    socket = await raw_user_stream(simulator, usdm)
    await simulator.arm(kind="drop_user_events")
    await usdm.create_order(SYMBOL, "limit", "buy", 0.01, 60_000)
    await usdm.cancel_all_orders(SYMBOL)
    assert (await receive(socket, "ORDER_TRADE_UPDATE"))["o"]["x"] == "CANCELED"


async def test_one_client_trades_both_markets(simulator: Simulator) -> None:
    options = {"fetchCurrencies": False, "fetchMargins": False}
    both = await simulator.client(
        options={"fetchMarkets": {"types": ["spot", "linear"]}, **options}
    )
    await both.load_markets()
    async with asyncio.timeout(WATCH_TIMEOUT_S):
        books = await asyncio.gather(
            both.watch_order_book("BTC/USDT"), both.watch_order_book(SYMBOL)
        )
    assert [book["symbol"] for book in books] == ["BTC/USDT", SYMBOL]
    await simulator.freeze()
    spot = await both.create_order("BTC/USDT", "market", "buy", 0.01)
    short = await both.create_order(SYMBOL, "market", "sell", 0.01)
    assert (spot["status"], short["status"]) == ("closed", "closed")
    kinds = {record["market"] for record in await simulator.ledger("order_filled")}
    assert kinds == {"spot", "futures"}
