"""The exchange port on unmodified ccxt: the only module that places and cancels orders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import structlog

from domain.errors import (
    AuthenticationRefused,
    ConfigurationError,
    OrderNotFound,
    OrderRejected,
    OwnershipLost,
    TransientVenueError,
    VenueError,
)
from domain.ids import ClientOrderId, VenueOrderId
from domain.instrument import Instrument
from domain.market import Quote
from domain.orders import Intent, OrderReport, Trade
from domain.plans import CommittedPlan
from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Call, venue_of
from exchanges.connection import Connection, dispatching
from exchanges.conversions import (
    Structure,
    to_decimal,
    to_instrument,
    to_order_report,
    to_quote,
    to_trade,
)
from exchanges.native import native_quotes
from exchanges.rate_budget import Admission, RateBudget
from exchanges.streams import (
    AccountEvent,
    AccountStream,
    QuoteCounters,
    QuoteEvent,
    QuoteStreams,
)
from exchanges.translate import (
    MALFORMED,
    CcxtError,
    is_wrong_time,
    translate,
    understanding,
)
from ports.exchange import (
    Accepted,
    Capabilities,
    ClientIdCodec,
    NotSent,
    Outcome,
    Outcomes,
    Refused,
    SendGuard,
    Undetermined,
)

#: Requests of one account under way at a time.
IN_FLIGHT_MAX = 8
#: How long a query waits for the rate budget before it fails.
QUERY_WAIT_MAX_S = 10.0
#: How long an order waits for it; the send guard judges whether it still may go then.
ORDER_WAIT_MAX_S = 1.0

Request = Callable[[Any], Awaitable[Structure]]

log = structlog.get_logger("exchanges")


class CcxtExchange:
    """One account; connects at its first use. Close its streams before it."""

    def __init__(self, config: AccountConfig) -> None:
        self._config = config
        self._venue = venue_of(config)
        self._admission = Admission(RateBudget(self._venue.limits), time.monotonic)
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._must_ask_time = False
        silence_s = config.stream_silence_ms / 1000
        self._quotes = native_quotes(config, self._open, self._asking) or QuoteStreams(
            self._open,
            self._fetch_book,
            silence_s=silence_s,
            subscribe_every_s=self._venue.subscribe_every_s,
        )
        self._account_stream = AccountStream(self._open, silence_s=silence_s)

    @property
    def account(self) -> str:
        return self._config.name

    @property
    def capabilities(self) -> Capabilities:
        return self._venue.capabilities(self._config)

    @property
    def ids(self) -> ClientIdCodec:
        return self._venue.ids

    @property
    def refused_quotes(self) -> int:
        """Quotes that were crossed, negative or no numbers, and not passed on."""
        return self._quotes.counters.refused

    @property
    def quote_counters(self) -> QuoteCounters:
        """What the market streams did not pass on."""
        return self._quotes.counters

    async def load_instruments(self) -> Mapping[str, Instrument]:
        async with self._asking(Call.MARKETS) as client:
            markets = await client.load_markets(True)
            # The testnet has no such endpoint; there ccxt's table of the venue's fees serves.
            is_testnet = self._config.mode is Mode.TESTNET
            fees = {} if is_testnet else await client.fetch_trading_fees()
        instruments = {}
        for symbol, market in markets.items():
            if not (market["spot"] and market["active"]):
                continue
            listed = {side: str(market[side]) for side in ("maker", "taker")}
            try:
                instruments[symbol] = to_instrument(self.account, market, fees.get(symbol, listed))
            except (ConfigurationError, *MALFORMED) as error:
                log.info("instrument_skipped", symbol=symbol, error=str(error))
        return instruments

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        # Groups, so that no request outlives its plan if another one fails unforeseen.
        async with asyncio.TaskGroup() as sending:
            cancels = [
                sending.create_task(self._cancel(cancel.client_order_id, instrument.symbol, guard))
                for cancel in plan.plan.cancels
            ]
        async with asyncio.TaskGroup() as sending:
            places = [
                sending.create_task(self._place(place.intent, instrument, guard))
                for place in plan.plan.places
            ]
        return Outcomes(
            tuple(task.result() for task in cancels), tuple(task.result() for task in places)
        )

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        async with self._asking(Call.OPEN_ORDERS) as client:
            return [to_order_report(order) for order in await client.fetch_open_orders(symbol)]

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        async with self._asking(Call.ORDER) as client:
            params = {"clientOrderId": client_order_id}
            return to_order_report(await client.fetch_order("", symbol, params))

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        page_size = self._config.trades_page
        params: dict[str, object] = {} if venue_order_id is None else {"orderId": venue_order_id}
        next_id = 0 if after_trade_id is None else int(after_trade_id) + 1
        trades: list[Trade] = []
        while True:
            async with self._asking(Call.TRADES) as client:
                page = await client.fetch_my_trades(
                    symbol, None, page_size, {**params, "fromId": next_id}
                )
                # ccxt sorts by time and then by the id as text.
                trades += sorted(map(to_trade, page), key=_numeric_id)
                if len(page) < page_size:
                    return trades
                next_id = _numeric_id(trades[-1]) + 1

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        async with self._asking(Call.TRADES) as client:
            trades = await client.fetch_my_trades(symbol, None, 1)
            return to_trade(trades[-1]).trade_id if trades else None

    async def fetch_quote(self, symbol: str) -> Quote:
        async with self._asking(Call.QUOTE) as client:
            # The book carries no time; asked for before it, the time is a lower bound.
            exchange_ms = int(await client.fetch_time())
            books = await client.fetch_bids_asks([symbol])
            return to_quote(symbol, books[symbol], exchange_ms)

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        async with self._asking(Call.BALANCES) as client:
            balances = (await client.fetch_balance())["total"]
            return {asset: to_decimal(amount) for asset, amount in balances.items()}

    def watch_quotes(self, symbol: str) -> AsyncGenerator[QuoteEvent, None]:
        return self._quotes.watch(symbol)

    def watch_account(self) -> AsyncGenerator[AccountEvent, None]:
        return self._account_stream.watch()

    async def close(self) -> None:
        async with self._opening:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None

    async def _place(self, intent: Intent, instrument: Instrument, guard: SendGuard) -> Outcome:
        symbol = instrument.symbol
        price = instrument.ticks_to_price(intent.price_ticks)
        quantity = instrument.lots_to_quantity(intent.quantity_lots)
        params: dict[str, object] = {"clientOrderId": intent.client_order_id}
        if intent.post_only:
            params["postOnly"] = True

        async def place(client: Any) -> Structure:
            _check_kept(price, client.price_to_precision(symbol, f"{price:f}"))
            _check_kept(quantity, client.amount_to_precision(symbol, f"{quantity:f}"))
            placed: Structure = await client.create_order(
                symbol, "limit", intent.side.value, f"{quantity:f}", f"{price:f}", params
            )
            return placed

        self._account_stream.expect(intent.client_order_id)
        outcome = await self._send(Call.PLACE, intent.client_order_id, guard, place)
        is_accepted = isinstance(outcome, Accepted)
        self._account_stream.settle(intent.client_order_id, is_accepted=is_accepted)
        return outcome

    async def _cancel(
        self, client_order_id: ClientOrderId, symbol: str, guard: SendGuard
    ) -> Outcome:
        async def cancel(client: Any) -> Structure:
            params = {"clientOrderId": client_order_id}
            cancelled: Structure = await client.cancel_order("", symbol, params)
            return cancelled

        return await self._send(Call.CANCEL, client_order_id, guard, cancel)

    async def _send(
        self, call: Call, client_order_id: ClientOrderId, guard: SendGuard, request: Request
    ) -> Outcome:
        """Send one request that changes something at the venue; never raises a venue's error."""
        try:
            await self._admission.admit(self._venue.costs[call], wait_max_s=ORDER_WAIT_MAX_S)
            client = (await self._open()).client
        except (VenueError, CcxtError, OSError) as error:
            return NotSent(str(error))
        async with self._in_flight:
            with dispatching(guard) as dispatch:
                try:
                    with understanding(f"{call} reply"):
                        order = await request(client)
                        # The reply to a cancel names the cancel's own client id.
                        report = to_order_report({**order, "clientOrderId": client_order_id})
                    return Accepted(report)
                except OwnershipLost as error:
                    # aiohttp repeats a DELETE on a connection that turns out dead.
                    return (Undetermined if dispatch.has_left else NotSent)(str(error))
                except VenueError as error:
                    return _outcome_of(error)
                except (CcxtError, OSError) as error:
                    return _outcome_of(self._translated(error, may_have_acted=dispatch.has_left))

    @asynccontextmanager
    async def _asking(self, call: Call) -> AsyncIterator[Any]:
        """Ask the venue something within the rate budget, with our errors only."""
        await self._admission.admit(self._venue.costs[call], wait_max_s=QUERY_WAIT_MAX_S)
        try:
            client = (await self._open()).client
            with understanding(call):
                yield client
        except (CcxtError, OSError) as error:
            raise self._translated(error, may_have_acted=False) from error

    async def _open(self) -> Connection:
        async with self._opening:
            if self._connection is None:
                self._connection = await Connection.open(
                    self._config, self._venue, self._admission.pause
                )
            elif self._must_ask_time:
                await self._connection.client.load_time_difference()
            self._must_ask_time = False
            return self._connection

    def _translated(self, error: Exception, *, may_have_acted: bool) -> VenueError:
        if is_wrong_time(error):
            self._must_ask_time = True
        return translate(error, may_have_acted=may_have_acted)

    async def _fetch_book(self, symbol: str) -> Structure:
        async with self._asking(Call.QUOTE) as client:
            book: Structure = (await client.fetch_bids_asks([symbol]))[symbol]
            return book


def _check_kept(intended: Decimal, sent: str) -> None:
    """ccxt rounds to the market's present steps; an order must leave as decided or not at all."""
    if Decimal(sent) != intended:
        raise OrderRejected(
            f"{intended:f} would leave as {sent}: the venue's steps have changed", reason="filter"
        )


def _outcome_of(error: VenueError) -> Outcome:
    match error:
        case OrderNotFound():
            return Refused("not_found", str(error))
        case OrderRejected(reason=reason):
            return Refused(reason, str(error))
        case TransientVenueError() | AuthenticationRefused():
            return NotSent(str(error))
        case _:
            return Undetermined(str(error))


def _numeric_id(trade: Trade) -> int:
    return int(trade.trade_id)
