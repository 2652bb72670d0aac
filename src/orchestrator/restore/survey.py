"""What the exchange tells of an account, all of it as of one moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from domain.contracts import Position
from domain.errors import RequestRefused, TransientVenueError
from domain.ids import OrderTag, VenueOrderId
from domain.instrument import Instrument, MarketKind
from domain.orders import OrderRecord, Trade
from orchestrator.changes import until_venue_answers
from orchestrator.market import listed
from orchestrator.opening import CONSISTENT_READS, QUIET_MS
from ports.exchange import ExchangeArchive, ExchangePort


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSurvey:
    """One symbol, as it is at the exchange."""

    instrument: Instrument
    #: All that the venue tells, oldest first, with the tags of those that are of this product.
    orders: Sequence[tuple[OrderRecord, OrderTag | None]]
    #: The account's own, oldest first.
    trades: Sequence[Trade]
    #: Of contracts.
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSurvey:
    account: str
    symbols: Mapping[str, SymbolSurvey]
    #: After the last of all trades: free plus locked; of contracts the wallets.
    balances: Mapping[str, Decimal]
    #: Venue time at which it began.
    exchange_ms: int


async def survey_account(exchange: ExchangeArchive, symbols: Collection[str]) -> AccountSurvey:
    """Ask for everything; trades come last, so that they cover every fill the orders show.

    Raises
    ------
    RequestRefused
        If a symbol is not traded on the account.
    TransientVenueError
        If the account trades without a pause, or its wallet is just moving.
    """
    markets = await exchange.load_instruments()
    for symbol in symbols:
        listed(markets, symbol, exchange.account)
    now_ms = (await exchange.fetch_quote(next(iter(symbols)))).exchange_ms if symbols else 0
    # Many symbols at once use up the rate budget: each waits for its turn.
    orders = {
        symbol: await until_venue_answers(partial(exchange.fetch_orders, symbol))
        for symbol in symbols
    }
    trades = {
        symbol: list(await until_venue_answers(partial(exchange.fetch_trades, symbol)))
        for symbol in symbols
    }
    for _ in range(CONSISTENT_READS):
        balances = await exchange.fetch_balances()
        positions = {symbol: await _position(exchange, markets[symbol]) for symbol in symbols}
        has_wallet = any(markets[symbol].kind is MarketKind.LINEAR for symbol in symbols)
        if has_wallet and await exchange.fetch_income(now_ms - QUIET_MS):
            raise TransientVenueError("the wallet is just moving: try again in a moment")
        newer = {symbol: await _newer(exchange, symbol, trades[symbol]) for symbol in symbols}
        if not any(newer.values()):
            return AccountSurvey(
                account=exchange.account,
                symbols={
                    symbol: SymbolSurvey(
                        instrument=markets[symbol],
                        orders=[(o, _tag(exchange, o)) for o in orders[symbol]],
                        trades=trades[symbol],
                        position=positions[symbol],
                    )
                    for symbol in symbols
                },
                balances=balances,
                exchange_ms=now_ms,
            )
        for symbol, found in newer.items():
            trades[symbol] += found
    raise TransientVenueError(
        f"account {exchange.account} trades without a pause: its balances were not seen at rest"
    )


def refuse_alive(before: AccountSurvey, after: AccountSurvey, nonce: int) -> None:
    """Refuse an installation that placed orders between two looks.

    Raises
    ------
    RequestRefused
        If it did: it is alive, and has its database.
    """
    known = {venue_order_id for venue_order_id, _ in _placed(before, nonce)}
    for venue_order_id, placed in _placed(after, nonce):
        if venue_order_id not in known:
            raise RequestRefused(
                f"installation {nonce} is alive: it has just placed {placed}; stop its nodes first"
            )


def _placed(seen: AccountSurvey, nonce: int) -> list[tuple[VenueOrderId, str]]:
    return [
        (record.report.venue_order_id, f"{record.report.client_order_id} in {symbol}")
        for symbol, told in seen.symbols.items()
        for record, tag in told.orders
        if tag is not None and tag.nonce == nonce
    ]


async def _newer(exchange: ExchangePort, symbol: str, known: Sequence[Trade]) -> Sequence[Trade]:
    newest = known[-1].trade_id if known else None
    if await exchange.fetch_last_trade_id(symbol) == newest:
        return ()
    return await exchange.fetch_trades(symbol, after_trade_id=newest)


async def _position(exchange: ExchangePort, instrument: Instrument) -> Position:
    if instrument.kind is MarketKind.SPOT:
        return Position()
    return await exchange.fetch_position(instrument.symbol)


def _tag(exchange: ExchangePort, order: OrderRecord) -> OrderTag | None:
    return exchange.ids.decode(order.report.client_order_id)
