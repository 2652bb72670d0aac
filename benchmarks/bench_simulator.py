"""Placing an order on the simulated exchange: unmodified ccxt against a bare request.

Both go to the same endpoint, over TLS, on connections that are kept open.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import ssl
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import aiohttp

from cli.local_system import LocalSystem, Market, temporary_data_dir
from exchanges.account import AccountConfig, Mode
from exchanges.connection import Connection
from exchanges.venues import venue_of
from measurement import Result, interleave
from simulator.server import read_address

#: The exchange takes 100 orders in 10 seconds.
REPETITIONS = 40
_KEY, _SECRET = "sim-key", "sim-secret"
_HEADERS = {"X-MBX-APIKEY": _KEY, "Content-Type": "application/x-www-form-urlencoded"}
#: Far below the market, so that the orders rest.
_PRICE, _QUANTITY = "58000.00", "0.00100"


async def measure() -> Sequence[Result]:
    with temporary_data_dir() as data_dir:
        system = LocalSystem(data_dir=data_dir, market=Market(symbols=("BTC/USDT",)))
        await system.start_simulator()
        try:
            return [await _measure(system)]
        finally:
            await system.close()


async def _measure(system: LocalSystem) -> Result:
    address = read_address(system.simulator_dir)
    account = AccountConfig(
        name="sim",
        mode=Mode.SIMULATOR,
        api_key=_KEY,
        api_secret=_SECRET,
        simulator_file=system.simulator_dir / "simulator.json",
    )
    tls = ssl.create_default_context(cafile=str(address.ca_path))
    ids = itertools.count()
    async with AsyncExitStack() as stack:
        connection = await Connection.open(account, venue_of(account), lambda _: None)
        stack.push_async_callback(connection.close)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
        )

        async def through_ccxt() -> None:
            params = {"clientOrderId": f"ccxt{next(ids)}"}
            await connection.client.create_order(
                "BTC/USDT", "limit", "buy", _QUANTITY, _PRICE, params
            )

        async def bare() -> None:
            url = f"https://{address.host}:{address.port}/api/v3/order"
            body = _signed(f"bare{next(ids)}")
            async with session.post(url, data=body, headers=_HEADERS) as answer:
                answer.raise_for_status()
                await answer.json()

        case_s, baseline_s = await interleave(through_ccxt, bare, REPETITIONS)
    return Result(
        case="order placed through ccxt",
        case_s=case_s,
        baseline="the same by a bare aiohttp request",
        baseline_s=baseline_s,
        repetitions=REPETITIONS,
    )


def _signed(client_order_id: str) -> str:
    query = urlencode(
        {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": _QUANTITY,
            "price": _PRICE,
            "newClientOrderId": client_order_id,
            "newOrderRespType": "RESULT",
            "recvWindow": "2000",
            "timestamp": str(time.time_ns() // 1_000_000),
        }
    )
    signature = hmac.new(_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    return f"{query}&signature={signature}"
