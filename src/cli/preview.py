"""What a grid would be at this moment, before anyone asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

from cli.ladder_picture import Rung
from cli.render import Facts, plain
from domain.ids import Side
from domain.instrument import Instrument, Rounding
from domain.market import BookTop, Quote
from grid.check import SpecReport, check_spec
from grid.desired import Stance, desired_orders
from grid.grid import Grid
from grid.spec import GridSpec
from orchestrator.market import market_now
from ports.exchange import ExchangePort


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOrder:
    """An order that the grid would begin with."""

    side: Side
    #: Meant to be filled at once: its price is then the worst that it accepts.
    at_once: bool
    price: Decimal
    quantity: Decimal
    #: The level at which what it fills is closed.
    exit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    instrument: Instrument
    price: Decimal
    #: Where the grid starts: its trigger, or the price.
    start: Decimal
    report: SpecReport
    orders: Sequence[FirstOrder]


async def preview(exchange: ExchangePort, symbol: str, spec: GridSpec) -> Preview:
    """Check a grid against a market as it is now; nothing is sent or written.

    Raises
    ------
    RequestRefused
        If the market is not traded or has no price.
    ConfigurationError
        If the grid cannot work on it.
    """
    instrument, quote, price = await market_now(exchange, symbol)
    report = check_spec(spec, instrument, price)
    grid = Grid.fresh(spec, instrument, price)
    book = _book(quote, instrument)
    if spec.trigger_price is not None:
        # How far the book will be spread then is not known: as little as can be.
        book = BookTop(grid.start_ticks, grid.start_ticks + 1, quote.exchange_ms)
    wanted = desired_orders(grid, {}, book, {}, stance=Stance.TRADE)
    orders = [
        FirstOrder(
            side=order.side,
            at_once=not order.post_only,
            price=instrument.ticks_to_price(order.price_ticks),
            quantity=instrument.lots_to_quantity(order.quantity_lots),
            exit_price=instrument.ticks_to_price(grid.exit_ticks(order.slot)),
        )
        for order in wanted
        if order.placeable
    ]
    start = instrument.ticks_to_price(book.mid_ticks)
    return Preview(instrument=instrument, price=price, start=start, report=report, orders=orders)


def facts_of(seen: Preview) -> Facts:
    """The report with its units, for people."""
    base, quote = seen.instrument.base, seen.instrument.quote
    units = {
        "order_quantity": base,
        "profit_per_round_trip": quote,
        "max_inventory": base,
        "quote_needed": quote,
        "base_needed": base,
    }
    amounts = {
        name: f"{plain(value)} {units[name]}" if name in units else value
        for name, value in asdict(seen.report).items()
    }
    fees = {
        name: f"{plain(rate * 10_000)} bp"
        for name, rate in (
            ("maker_fee", seen.instrument.maker_fee),
            ("taker_fee", seen.instrument.taker_fee),
        )
    }
    return {"price": seen.price} | amounts | fees


def document_of(seen: Preview) -> Facts:
    """The same for programs, with every order."""
    return {
        "symbol": seen.instrument.symbol,
        "price": seen.price,
        "check": asdict(seen.report),
        "maker_fee": seen.instrument.maker_fee,
        "taker_fee": seen.instrument.taker_fee,
        "orders": seen.orders,
    }


def planned_rungs(seen: Preview) -> list[Rung]:
    """The orders at their levels; those filled at once by the exit that they are for."""
    return [_rung(order) for order in seen.orders]


def _rung(order: FirstOrder) -> Rung:
    buys = order.side is Side.BUY
    if order.at_once:
        done, side = ("bought", Side.SELL) if buys else ("sold", Side.BUY)
        return Rung(
            price=order.exit_price,
            side=side,
            quantity=order.quantity,
            note=f"{done} at once, at {plain(order.price)} at worst",
        )
    then = "then sell" if buys else "then buy back"
    return Rung(
        price=order.price,
        side=order.side,
        quantity=order.quantity,
        note=f"{then} at {plain(order.exit_price)}",
    )


def _book(quote: Quote, instrument: Instrument) -> BookTop:
    return BookTop(
        None if quote.bid is None else instrument.price_to_ticks(quote.bid, Rounding.FLOOR),
        None if quote.ask is None else instrument.price_to_ticks(quote.ask, Rounding.CEIL),
        quote.exchange_ms,
    )
