"""The exchange port on unmodified ccxt: the only module that places and cancels orders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import structlog

from domain.contracts import Income, Position
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
from domain.instrument import Instrument, MarketKind
from domain.market import Candle, Quote
from domain.orders import Intent, OrderRecord, OrderReport, Trade, VenueStatus
from domain.plans import CommittedPlan
from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Address, BookCall, Call, Reply
from exchanges.connection import DEFAULT_RETRY_AFTER_S, Connection, dispatching
from exchanges.contracts import (
    INCOME_KINDS,
    INCOME_PAGE,
    fetch_income,
    fetch_position,
    fetch_wallets,
    refuse_hedge_mode,
    set_margin,
)
from exchanges.conversions import (
    Structure,
    reason_untradable,
    to_candle,
    to_decimal,
    to_instrument,
    to_order_record,
    to_order_report,
    to_quote,
    to_trade,
)
from exchanges.look_up import address, client_id_of, look_up
from exchanges.native import native_quotes
from exchanges.own_orders import all_orders
from exchanges.own_trades import TradeHistory
from exchanges.rate_budget import Admission, RateBudget, Tier
from exchanges.shared_answer import SharedAnswer
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
    is_rate_limited,
    is_wrong_time,
    translate,
    understanding,
)
from exchanges.venues import venue_of
from ext.engine import Lull
from grid.role import OPENING
from ports.exchange import (
    Accepted,
    Capabilities,
    ClientIdCodec,
    NotSent,
    Outcome,
    Outcomes,
    RateSharing,
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
        self._admission = Admission(
            RateBudget(self._venue.limits.percent(config.limits_percent)), _boot_s
        )
        terms = replace(self._venue.trades, page=min(self._venue.trades.page, config.trades_page))
        self._history = TradeHistory(terms, self._ask_trades, lambda: int(time.time() * 1000))
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
        self._shared_instruments = SharedAnswer(self._load_instruments)
        self._shared_balances = SharedAnswer(self._fetch_balances)
        self._account_stream = AccountStream(self._open, self._venue, silence_s=silence_s)

    @property
    def account(self) -> str:
        return self._config.name

    @property
    def rate(self) -> RateSharing:
        return self._admission

    @property
    def capabilities(self) -> Capabilities:
        return self._venue.capabilities(self._config)

    @property
    def ids(self) -> ClientIdCodec:
        return self._venue.ids.codec

    @property
    def refused_quotes(self) -> int:
        """Quotes that were crossed, negative or no numbers, and not passed on."""
        return self._quotes.counters.refused

    @property
    def quote_counters(self) -> QuoteCounters:
        """What the market streams did not pass on."""
        return self._quotes.counters

    async def load_instruments(self) -> Mapping[str, Instrument]:
        return await self._shared_instruments.get()

    async def _load_instruments(self) -> Mapping[str, Instrument]:
        async with self._asking(Call.MARKETS) as client:
            if self._trades_contracts:
                await refuse_hedge_mode(client)
            markets = await client.load_markets(True)
            # Binance's testnet has no such endpoint; ccxt's table of the venue's fees serves there.
            has_fees = self._venue.has_account_fees and self._config.mode is not Mode.TESTNET
            fees = await client.fetch_trading_fees() if has_fees else {}
        instruments = {}
        for symbol, market in markets.items():
            reason = reason_untradable(market, self._config.market)
            if reason is not None:
                log.debug("market_refused", symbol=symbol, reason=reason)
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
            ids = self._venue.ids
            return [
                _report(order, client_id_of(order, ids))
                for order in await client.fetch_open_orders(symbol)
            ]

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        return await self._fetch_order(symbol, client_order_id, Tier.QUERY)

    async def fetch_orders(self, symbol: str) -> Sequence[OrderRecord]:
        return await all_orders(self._venue, symbol, self._config.trades_page, self._ask_orders)

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        if venue_order_id is not None:
            return await self._history.of_order(symbol, venue_order_id)
        return await self._history.after(symbol, after_trade_id)

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        return await self._history.newest_id(symbol)

    async def fetch_quote(self, symbol: str) -> Quote:
        async with self._asking(Call.QUOTE) as client:
            # The book carries no time; asked for before it, the time is a lower bound.
            exchange_ms = int(await client.fetch_time())
            return to_quote(symbol, await self._book(client, symbol), exchange_ms)

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        async with self._asking(Call.CANDLES) as client:
            # The last one that comes has not closed.
            now_ms = int(await client.fetch_time())
            rows = await client.fetch_ohlcv(symbol, timeframe, None, count + 1)
            frame_ms = int(client.parse_timeframe(timeframe)) * 1_000
            candles = [to_candle(row) for row in rows]
            return [candle for candle in candles if candle.open_ms + frame_ms <= now_ms][-count:]

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        return await self._shared_balances.get()

    async def _fetch_balances(self) -> Mapping[str, Decimal]:
        async with self._asking(Call.BALANCES) as client:
            if self._trades_contracts:
                return await fetch_wallets(client)
            balances = (await client.fetch_balance())["total"]
            return {asset: to_decimal(amount) for asset, amount in balances.items()}

    async def prepare_symbol(self, symbol: str) -> int:
        if not self._trades_contracts:
            return 1
        leverage, mode = self._config.leverage, self._config.margin_mode
        try:
            async with self._asking(Call.PREPARE) as client:
                await set_margin(client, symbol, leverage, mode)
        except OrderRejected as error:
            raise ConfigurationError(
                field="account.leverage",
                rule=f"and account.margin_mode must be what the venue sets {symbol} to",
                value=f"{leverage} and {mode.value}: {error}",
                remedy="close the symbol's position and orders, or keep what they were opened with",
            ) from error
        return leverage

    async def fetch_position(self, symbol: str) -> Position:
        async with self._asking(Call.POSITION) as client:
            return await fetch_position(client, symbol)

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        found: list[Income] = []
        for kind in INCOME_KINDS:
            page = 0
            told: Sequence[Income] = ()
            while page == 0 or len(told) == INCOME_PAGE:
                page += 1
                async with self._asking(Call.INCOME) as client:
                    told = await fetch_income(client, kind, after_ms, page)
                found += told
        return sorted(found, key=lambda income: income.booked_ms)

    def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[QuoteEvent, None]:
        return self._quotes.watch(symbol, lull)

    def watch_account(self) -> AsyncGenerator[AccountEvent, None]:
        return self._account_stream.watch()

    async def close(self) -> None:
        async with self._opening:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None

    @property
    def _trades_contracts(self) -> bool:
        return self._config.market is MarketKind.LINEAR

    async def _fetch_order(
        self, symbol: str, client_order_id: ClientOrderId, tier: Tier
    ) -> OrderReport:
        async with self._asking(Call.ORDER, tier) as client:
            order = await look_up(client, self._venue.ids, symbol, client_order_id)
            return _report(order, client_order_id)

    async def _place(self, intent: Intent, instrument: Instrument, guard: SendGuard) -> Outcome:
        symbol = instrument.symbol
        price = instrument.ticks_to_price(intent.price_ticks)
        quantity = instrument.lots_to_quantity(intent.quantity_lots)
        venue = self._venue
        expiry_ms = self.capabilities.request_expiry_ms
        params: dict[str, object] = {venue.ids.create: intent.client_order_id}
        if intent.post_only:
            params[venue.post_only] = True
        if intent.reduce_only:
            params["reduceOnly"] = True

        async def place(client: Any) -> Structure:
            _check_kept(price, client.price_to_precision(symbol, f"{price:f}"))
            _check_kept(quantity, client.amount_to_precision(symbol, f"{quantity:f}"))
            if expiry_ms and venue.expiry is not None and venue.expiry.deadline is not None:
                params[venue.expiry.deadline] = client.iso8601(client.nonce() + expiry_ms)
            placed: Structure = await client.create_order(
                symbol, "limit", intent.side.value, f"{quantity:f}", f"{price:f}", params
            )
            return placed

        tier = Tier.ENTRY if intent.tag.purpose in OPENING else Tier.REDUCE
        self._account_stream.expect(intent.client_order_id)
        outcome = await self._send(Call.PLACE, tier, symbol, intent.client_order_id, guard, place)
        is_accepted = isinstance(outcome, Accepted)
        self._account_stream.settle(intent.client_order_id, is_accepted=is_accepted)
        return outcome

    async def _cancel(
        self, client_order_id: ClientOrderId, symbol: str, guard: SendGuard
    ) -> Outcome:
        ids = self._venue.ids
        order_id, params = address(ids.cancel_by, ids.cancel, client_order_id)
        if ids.cancel_by is Address.VENUE_ID:
            try:
                known = await self._fetch_order(symbol, client_order_id, Tier.CANCEL)
                order_id = known.venue_order_id
            except OrderNotFound as error:
                return Refused("not_found", str(error))
            except VenueError as error:
                return NotSent(str(error))

        async def cancel(client: Any) -> Structure:
            cancelled: Structure = await client.cancel_order(order_id, symbol, params)
            return cancelled

        outcome = await self._send(Call.CANCEL, Tier.CANCEL, symbol, client_order_id, guard, cancel)
        if isinstance(outcome, Accepted) and outcome.report.status is VenueStatus.OPEN:
            return Undetermined("the cancel was taken and the order still rests")
        return outcome

    async def _send(
        self,
        call: Call,
        tier: Tier,
        symbol: str,
        client_order_id: ClientOrderId,
        guard: SendGuard,
        request: Request,
    ) -> Outcome:
        """Send one request that changes something at the venue; never raises a venue's error."""
        try:
            await self._admission.admit(
                self._venue.costs[call].of_tier(tier), wait_max_s=ORDER_WAIT_MAX_S
            )
            client = (await self._open()).client
        except (VenueError, CcxtError, OSError) as error:
            return NotSent(str(error))
        async with self._in_flight:
            with dispatching(guard) as dispatch:
                try:
                    with understanding(f"{call} reply"):
                        reply = await request(client)
                        if self._venue.reply_to(call) is Reply.ORDER:
                            return Accepted(_report(reply, client_order_id))
                except OwnershipLost as error:
                    # aiohttp repeats a DELETE on a connection that turns out dead.
                    return (Undetermined if dispatch.has_left else NotSent)(str(error))
                except VenueError as error:
                    return _outcome_of(error)
                except (CcxtError, OSError) as error:
                    return _outcome_of(self._translated(error, may_have_acted=dispatch.has_left))
        return await self._what_became(symbol, client_order_id)

    async def _what_became(self, symbol: str, client_order_id: ClientOrderId) -> Outcome:
        """A receipt says that a request was taken, not what it led to."""
        try:
            return Accepted(await self.fetch_order(symbol, client_order_id))
        except VenueError as error:
            return Undetermined(f"taken, and not seen yet: {error}")

    @asynccontextmanager
    async def _asking(self, call: Call, tier: Tier = Tier.QUERY) -> AsyncIterator[Any]:
        """Ask the venue something within the rate budget, with our errors only."""
        cost = self._venue.costs[call].of_tier(tier)
        await self._admission.admit(cost, wait_max_s=QUERY_WAIT_MAX_S)
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
        if is_rate_limited(error):
            # Not every venue says so by its status.
            self._admission.pause(DEFAULT_RETRY_AFTER_S)
        return translate(error, may_have_acted=may_have_acted, refusals=self._venue.refusals)

    async def _ask_trades(
        self, symbol: str, since_ms: int | None, page: int, params: Mapping[str, object]
    ) -> Sequence[Trade]:
        of_symbol = None if self._venue.trades.of_account else symbol
        async with self._asking(Call.TRADES) as client:
            told = await client.fetch_my_trades(of_symbol, since_ms, page, dict(params))
            return [to_trade(trade) for trade in told]

    async def _ask_orders(
        self, symbol: str, page: int, params: Mapping[str, object]
    ) -> Sequence[OrderRecord]:
        ids = self._venue.ids
        async with self._asking(Call.ORDERS) as client:
            told = await client.fetch_orders(symbol, None, page, dict(params))
            return [
                to_order_record({**order, "clientOrderId": client_id_of(order, ids)})
                for order in told
            ]

    async def _fetch_book(self, symbol: str) -> Structure:
        async with self._asking(Call.QUOTE) as client:
            return await self._book(client, symbol)

    async def _book(self, client: Any, symbol: str) -> Structure:
        book: Structure
        if self._venue.book is BookCall.BOOK_TICKER:
            book = (await client.fetch_bids_asks([symbol]))[symbol]
        else:
            book = await client.fetch_ticker(symbol)
        return book


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _report(order: Structure, client_order_id: str) -> OrderReport:
    """An order under the client id that we know it by: replies may lack it, or name another's."""
    return to_order_report({**order, "clientOrderId": client_order_id})


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
