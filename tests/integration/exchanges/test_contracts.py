"""The adapter of an account that trades perpetuals, against the simulated venue."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.contracts import IncomeKind, MarginMode
from domain.errors import ConfigurationError, OwnershipLost, TransientVenueError
from domain.ids import Side
from domain.instrument import Instrument, MarketKind
from domain.orders import Intent, OrderReport, Trade, VenueStatus
from exchanges.ccxt_exchange import CcxtExchange
from integration.exchanges.conftest import Connect
from integration.exchanges.harness import Reader, Venue, held, intent, plan
from ports.exchange import Accepted, Outcome, Refused, StreamRestored, WalletMoved

SYMBOL = "BTC/USDT:USDT"


@pytest.fixture
async def exchange(connect: Connect) -> CcxtExchange:
    return connect(market=MarketKind.LINEAR)


@pytest.fixture
async def contract(exchange: CcxtExchange) -> Instrument:
    return (await exchange.load_instruments())[SYMBOL]


async def send(exchange: CcxtExchange, contract: Instrument, item: Intent) -> Outcome:
    (outcome,) = (await exchange.submit(plan(places=(item,)), contract, held)).places
    return outcome


async def order_at_market(
    exchange: CcxtExchange, contract: Instrument, side: Side, quantity: str
) -> Intent:
    """An order a percent through the market, which is filled at once."""
    quote = await exchange.fetch_quote(SYMBOL)
    assert quote.bid is not None
    price = quote.bid * (Decimal("1.01") if side is Side.BUY else Decimal("0.99"))
    return intent(
        exchange,
        price_ticks=int(price / contract.tick_size),
        quantity_lots=contract.quantity_to_lots(Decimal(quantity)),
        side=side,
        post_only=False,
    )


async def trade(exchange: CcxtExchange, contract: Instrument, side: Side, quantity: str) -> None:
    outcome = await send(
        exchange, contract, await order_at_market(exchange, contract, side, quantity)
    )
    assert isinstance(outcome, Accepted)
    assert outcome.report.status is VenueStatus.FILLED


async def test_markets_of_a_linear_account_are_perpetuals_only(exchange: CcxtExchange) -> None:
    instruments = await exchange.load_instruments()
    assert SYMBOL in instruments
    assert {found.kind for found in instruments.values()} == {MarketKind.LINEAR}
    assert all(name == f"{i.base}/{i.quote}:{i.quote}" for name, i in instruments.items())


async def test_preparing_sets_leverage_and_margin_mode_as_often_as_asked(
    connect: Connect, venue: Venue
) -> None:
    exchange = connect(market=MarketKind.LINEAR, leverage=7, margin_mode=MarginMode.ISOLATED)
    assert await exchange.prepare_symbol(SYMBOL) == 7
    assert await exchange.prepare_symbol(SYMBOL) == 7
    last = (await venue.ledger("position_configured"))[-1]
    assert (last["symbol"], last["leverage"], last["isolated"]) == ("BTCUSDT", 7, True)


async def test_margin_mode_that_an_open_position_forbids_is_refused(
    connect: Connect, exchange: CcxtExchange, contract: Instrument
) -> None:
    await trade(exchange, contract, Side.BUY, "0.01")
    isolated = connect(market=MarketKind.LINEAR, margin_mode=MarginMode.ISOLATED)
    with pytest.raises(ConfigurationError, match="close the symbol's position"):
        await isolated.prepare_symbol(SYMBOL)


async def test_wallet_is_what_trades_funding_and_transfers_left(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    before = (await exchange.fetch_balances())["USDT"]
    await trade(exchange, contract, Side.BUY, "0.02")
    await trade(exchange, contract, Side.SELL, "0.03")
    await venue.control("POST", "funding", {"rate": "0.0003"})
    deposit = {"market": "futures", "account": "main", "asset": "USDT", "amount": "-12.5"}
    await venue.control("POST", "deposit", deposit)

    trades = await exchange.fetch_trades(SYMBOL)
    income = [each for each in await exchange.fetch_income(0) if each.amount != before]

    assert [each.kind for each in income] == [IncomeKind.FUNDING, IncomeKind.TRANSFER]
    assert [each.symbol for each in income] == [SYMBOL, ""]
    assert any(each.realised for each in trades)
    moved = sum(each.realised - each.fee for each in trades) + sum(i.amount for i in income)
    assert (await exchange.fetch_balances())["USDT"] == before + moved
    assert await exchange.fetch_income(income[-1].booked_ms + 1) == []


async def test_position_is_signed_and_knows_where_it_would_be_liquidated(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    assert (await exchange.fetch_position(SYMBOL)).quantity == 0
    await trade(exchange, contract, Side.SELL, "2")
    position = await exchange.fetch_position(SYMBOL)
    assert position.quantity == -2
    assert position.liquidation_price is not None
    assert position.liquidation_price > position.entry_price > 0
    assert position.initial_margin > position.maintenance_margin > 0


@pytest.mark.parametrize(
    ("quantity", "side", "reduce_only", "reason"),
    [
        pytest.param("0.01", Side.BUY, True, "reduce_only", id="nothing to reduce"),
        pytest.param("40", Side.BUY, False, "insufficient_funds", id="margin"),
        pytest.param("0.01", Side.BUY, None, "would_cross", id="post-only"),
    ],
)
async def test_refusal_has_its_reason(
    exchange: CcxtExchange,
    contract: Instrument,
    quantity: str,
    side: Side,
    reduce_only: bool | None,
    reason: str,
) -> None:
    item = await order_at_market(exchange, contract, side, quantity)
    item = replace(item, post_only=reduce_only is None, reduce_only=bool(reduce_only))
    outcome = await send(exchange, contract, item)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason


async def test_reduce_only_order_closes_the_position(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    await trade(exchange, contract, Side.BUY, "0.01")
    item = await order_at_market(exchange, contract, Side.SELL, "0.01")
    outcome = await send(exchange, contract, replace(item, reduce_only=True))
    assert isinstance(outcome, Accepted)
    assert (await exchange.fetch_position(SYMBOL)).quantity == 0


async def test_account_stream_tells_orders_trades_and_what_else_moved_the_wallet(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    reader = Reader(exchange.watch_account())
    await reader.until(lambda seen: StreamRestored() in seen)
    await trade(exchange, contract, Side.BUY, "0.01")
    await trade(exchange, contract, Side.SELL, "0.01")
    await reader.until(lambda seen: sum(isinstance(event, Trade) for event in seen) >= 2)
    await venue.control(
        "POST", "deposit", {"market": "futures", "account": "main", "asset": "USDT", "amount": "1"}
    )
    await reader.until(lambda seen: WalletMoved() in seen)
    await reader.close()

    told = [event for event in reader.seen if isinstance(event, Trade)]
    asked = await exchange.fetch_trades(SYMBOL)
    assert {each.trade_id: each for each in told} == {each.trade_id: each for each in asked}
    assert any(isinstance(event, OrderReport) for event in reader.seen)


async def test_account_stream_comes_back_after_the_venue_forgot_its_key(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    reader = Reader(exchange.watch_account())
    await reader.until(lambda seen: StreamRestored() in seen)
    await venue.arm(kind="listen_key_expired")
    await venue.arm(kind="ws_disconnect")
    await reader.until(lambda seen: seen.count(StreamRestored()) >= 2)
    await trade(exchange, contract, Side.BUY, "0.01")
    await reader.until(lambda seen: any(isinstance(event, Trade) for event in seen))
    await reader.close()


async def test_quotes_of_a_perpetual_come_by_the_native_stream(exchange: CcxtExchange) -> None:
    reader = Reader(exchange.watch_quotes(SYMBOL))
    await reader.until(lambda seen: len(seen) >= 2)
    await reader.close()
    assert exchange.quote_counters.malformed == 0


async def test_dead_man_switch_is_set_and_taken_back_unless_the_lease_is_lost(
    exchange: CcxtExchange, contract: Instrument, venue: Venue
) -> None:
    def lost() -> None:
        raise OwnershipLost("the lease ran out")

    async def due() -> list[bool]:
        return [bool(record["due_ms"]) for record in await venue.ledger("countdown_set")]

    before = await due()
    await exchange.set_dead_man_switch(SYMBOL, exchange.countdown_s(60, 1), held)
    with pytest.raises(OwnershipLost):
        await exchange.set_dead_man_switch(SYMBOL, 1, lost)
    await exchange.set_dead_man_switch(SYMBOL, 0, held)
    assert await due() == [*before, True, False]


async def test_dead_man_switch_is_counted_in_the_rate_budget(
    exchange: CcxtExchange, contract: Instrument
) -> None:
    exchange.rate.pause_with(60)
    with pytest.raises(TransientVenueError, match="used up"):
        await exchange.set_dead_man_switch(SYMBOL, 60, held)


async def test_account_on_spot_has_no_dead_man_switch(connect: Connect) -> None:
    assert connect().countdown_s(60, 1) == 0
