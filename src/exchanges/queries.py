"""What an account asks the venue; nothing here changes anything there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import structlog

from domain.contracts import Income, Position
from domain.errors import ConfigurationError
from domain.ids import ClientOrderId, VenueOrderId
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import OrderRecord, OrderReport, Trade
from exchanges.account import Mode
from exchanges.capabilities import BookCall, Call
from exchanges.contracts import (
    INCOME_KINDS,
    INCOME_PAGE,
    fetch_income,
    fetch_position,
    fetch_wallets,
    refuse_hedge_mode,
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
from exchanges.look_up import client_id_of, look_up
from exchanges.own_orders import all_orders
from exchanges.own_trades import TradeHistory
from exchanges.rate_budget import Tier
from exchanges.session import Session
from exchanges.shared_answer import SharedAnswer
from exchanges.translate import MALFORMED

#: Orders that one question for the newest ones tells: the price is the same for many more.
NEWEST_ORDERS = 100
#: Every comparison of every symbol needs the balances. Asked for as often as symbols get so far
#: after a start, they would use up the rate budget of most.
BALANCES_EVERY_S = 0.25

log = structlog.get_logger("exchanges")


class Queries:
    """The questions of `ports.exchange.ExchangePort`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        venue, account = session.venue, session.account
        terms = replace(venue.trades, page=min(venue.trades.page, account.trades_page))
        self._history = TradeHistory(terms, self._ask_trades, lambda: int(time.time() * 1000))
        self._shared_instruments = SharedAnswer(self._load_instruments)
        self._shared_balances = SharedAnswer(self._fetch_balances, every_s=BALANCES_EVERY_S)

    async def load_instruments(self) -> Mapping[str, Instrument]:
        return await self._shared_instruments.get()

    async def _load_instruments(self) -> Mapping[str, Instrument]:
        async with self._session.asking(Call.MARKETS) as client:
            if self._session.trades_contracts:
                await refuse_hedge_mode(client)
            markets = await client.load_markets(True)
            # Binance's testnet has no such endpoint; ccxt's table of the venue's fees serves there.
            has_fees = (
                self._session.venue.has_account_fees
                and self._session.account.mode is not Mode.TESTNET
            )
            fees = await client.fetch_trading_fees() if has_fees else {}
        instruments = {}
        for symbol, market in markets.items():
            reason = reason_untradable(market, self._session.account.market)
            if reason is not None:
                log.debug("market_refused", symbol=symbol, reason=reason)
                continue
            listed = {side: str(market[side]) for side in ("maker", "taker")}
            try:
                instruments[symbol] = to_instrument(
                    self._session.account.name, market, fees.get(symbol, listed)
                )
            except (ConfigurationError, *MALFORMED) as error:
                log.info("instrument_skipped", symbol=symbol, error=str(error))
        return instruments

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]:
        async with self._session.asking(Call.OPEN_ORDERS) as client:
            ids = self._session.venue.ids
            return [
                report_of(order, client_id_of(order, ids))
                for order in await client.fetch_open_orders(symbol)
            ]

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        return await find_order(self._session, symbol, client_order_id, Tier.QUERY)

    async def fetch_newest_orders(self, symbol: str) -> Sequence[OrderReport]:
        if self._session.venue.orders is None:
            return ()
        return [order.report for order in await self._ask_orders(symbol, NEWEST_ORDERS, {})]

    async def fetch_orders(self, symbol: str) -> Sequence[OrderRecord]:
        session = self._session
        return await all_orders(
            session.venue, symbol, session.account.trades_page, self._ask_orders
        )

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
        async with self._session.asking(Call.QUOTE) as client:
            # The book carries no time; asked for before it, the time is a lower bound.
            exchange_ms = int(await client.fetch_time())
            return to_quote(symbol, await self._book(client, symbol), exchange_ms)

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        async with self._session.asking(Call.CANDLES) as client:
            # The last one that comes has not closed.
            now_ms = int(await client.fetch_time())
            rows = await client.fetch_ohlcv(symbol, timeframe, None, count + 1)
            frame_ms = int(client.parse_timeframe(timeframe)) * 1_000
            candles = [to_candle(row) for row in rows]
            return [candle for candle in candles if candle.open_ms + frame_ms <= now_ms][-count:]

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        return await self._shared_balances.get()

    async def _fetch_balances(self) -> Mapping[str, Decimal]:
        async with self._session.asking(Call.BALANCES) as client:
            if self._session.trades_contracts:
                return await fetch_wallets(client)
            balances = (await client.fetch_balance())["total"]
            return {asset: to_decimal(amount) for asset, amount in balances.items()}

    async def fetch_position(self, symbol: str) -> Position:
        async with self._session.asking(Call.POSITION) as client:
            return await fetch_position(client, symbol)

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        found: list[Income] = []
        for kind in INCOME_KINDS:
            page = 0
            told: Sequence[Income] = ()
            while page == 0 or len(told) == INCOME_PAGE:
                page += 1
                async with self._session.asking(Call.INCOME) as client:
                    told = await fetch_income(client, kind, after_ms, page)
                found += told
        return sorted(found, key=lambda income: income.booked_ms)

    async def _ask_trades(
        self, symbol: str, since_ms: int | None, page: int, params: Mapping[str, object]
    ) -> Sequence[Trade]:
        of_symbol = None if self._session.venue.trades.of_account else symbol
        async with self._session.asking(Call.TRADES) as client:
            told = await client.fetch_my_trades(of_symbol, since_ms, page, dict(params))
            return [to_trade(trade) for trade in told]

    async def _ask_orders(
        self, symbol: str, page: int, params: Mapping[str, object]
    ) -> Sequence[OrderRecord]:
        ids = self._session.venue.ids
        async with self._session.asking(Call.ORDERS) as client:
            told = await client.fetch_orders(symbol, None, page, dict(params))
            return [
                to_order_record({**order, "clientOrderId": client_id_of(order, ids)})
                for order in told
            ]

    async def fetch_book(self, symbol: str) -> Structure:
        async with self._session.asking(Call.QUOTE) as client:
            return await self._book(client, symbol)

    async def _book(self, client: Any, symbol: str) -> Structure:
        book: Structure
        if self._session.venue.book is BookCall.BOOK_TICKER:
            book = (await client.fetch_bids_asks([symbol]))[symbol]
        else:
            book = await client.fetch_ticker(symbol)
        return book


async def find_order(
    session: Session, symbol: str, client_order_id: ClientOrderId, tier: Tier
) -> OrderReport:
    async with session.asking(Call.ORDER, tier) as client:
        order = await look_up(client, session.venue.ids, symbol, client_order_id)
        return report_of(order, client_order_id)


def report_of(order: Structure, client_order_id: str) -> OrderReport:
    """An order under the client id that we know it by: replies may lack it, or name another's."""
    return to_order_report({**order, "clientOrderId": client_order_id})
