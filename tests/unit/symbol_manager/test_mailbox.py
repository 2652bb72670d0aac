"""Quotes conflate, order events are never dropped silently, wishes hold until they change."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.market import Quote
from domain.orders import OrderReport, Trade
from ext.engine import QuietBand, TickScale
from ports.exchange import StreamLost, StreamRestored
from ports.store import Desired
from symbol_manager import mailbox as mailbox_module
from symbol_manager.mailbox import Mailbox, Wishes
from unit.symbol_manager.factories import make_intent, make_report, make_trade

RUNNING = Wishes(Desired.RUNNING, is_killed=False)
KILLED = Wishes(Desired.RUNNING, is_killed=True)
ENTRY = make_intent()
#: Quotes of whole ticks whose middle lies between 10 and 20.
QUIET = TickScale(Decimal(1)), QuietBand(10, 20, 20, 10)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(RUNNING)


def make_quote(bid: int) -> Quote:
    return Quote(symbol="BTC/USDT", bid=Decimal(bid), ask=Decimal(bid + 1), exchange_ms=0)


async def has_news(mailbox: Mailbox) -> bool:
    """Whether `wait` returns at once."""
    waiting = asyncio.ensure_future(mailbox.wait(60))
    for _ in range(5):
        await asyncio.sleep(0)
    is_done = waiting.done()
    waiting.cancel()
    return is_done


def test_mailbox_quotes_conflate_to_the_latest(mailbox: Mailbox) -> None:
    for bid in (1, 2, 3):
        mailbox.put_quote(make_quote(bid))
    assert mailbox.take().quote == make_quote(3)
    assert mailbox.take().quote is None


def test_mailbox_order_events_are_all_kept_in_order(mailbox: Mailbox) -> None:
    events: list[OrderReport | Trade] = [
        make_report(ENTRY, filled=1),
        make_trade(ENTRY, "1", 1),
        make_report(ENTRY),
    ]
    for event in events + events:
        mailbox.put_order_event(event)
    batch = mailbox.take()
    assert list(batch.order_events) == events + events
    assert not batch.must_reconcile
    assert mailbox.take().order_events == ()


def test_mailbox_overflow_keeps_the_first_and_asks_for_reconciliation(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_module, "MAX_ORDER_EVENTS", 2)
    trades = [make_trade(ENTRY, str(number), 1) for number in range(3)]
    for trade in trades:
        mailbox.put_order_event(trade)
    batch = mailbox.take()
    assert list(batch.order_events) == trades[:2]
    assert batch.must_reconcile
    assert batch.must_be_complete
    assert not mailbox.take().must_reconcile


def test_mailbox_restored_order_stream_asks_for_reconciliation(mailbox: Mailbox) -> None:
    mailbox.put_order_event(StreamLost("closed"))
    assert not mailbox.take().must_reconcile
    mailbox.put_order_event(StreamRestored())
    batch = mailbox.take()
    assert batch.must_reconcile
    assert not batch.must_be_complete


async def test_mailbox_asked_to_reconcile_wakes_and_says_so_once(mailbox: Mailbox) -> None:
    mailbox.ask_reconcile()
    assert await has_news(mailbox)
    batch = mailbox.take()
    assert batch.must_reconcile
    assert batch.must_be_complete
    batch = mailbox.take()
    assert not batch.must_reconcile
    assert not batch.must_be_complete


async def test_mailbox_quote_stream_news_is_no_news(mailbox: Mailbox) -> None:
    mailbox.put_quote(StreamLost("closed"))
    mailbox.put_quote(StreamRestored())
    assert not await has_news(mailbox)
    assert not mailbox.take().must_reconcile


async def test_mailbox_wishes_hold_until_they_change(mailbox: Mailbox) -> None:
    mailbox.put_wishes(RUNNING)
    assert not await has_news(mailbox)
    mailbox.put_wishes(KILLED)
    assert await has_news(mailbox)
    assert mailbox.take().wishes == KILLED
    assert mailbox.take().wishes == mailbox.wishes == KILLED


async def test_mailbox_wait_ends_with_any_news_and_take_consumes_it(mailbox: Mailbox) -> None:
    assert not await has_news(mailbox)
    mailbox.put_quote(make_quote(1))
    assert await has_news(mailbox)
    mailbox.take()
    mailbox.put_order_event(make_report(ENTRY))
    assert await has_news(mailbox)
    mailbox.take()
    mailbox.wake()
    assert await has_news(mailbox)
    mailbox.take()
    assert not await has_news(mailbox)


async def test_mailbox_wait_without_news_ends_by_itself(mailbox: Mailbox) -> None:
    async with asyncio.timeout(5):
        await mailbox.wait(0.01)


async def test_mailbox_quiet_quote_is_no_news_and_in_the_next_batch(mailbox: Mailbox) -> None:
    mailbox.put_quote(make_quote(15))
    mailbox.take()
    waiting = asyncio.ensure_future(mailbox.wait(60, QUIET))
    await asyncio.sleep(0)
    assert mailbox.lull.keeps("16", "17", 1)
    assert mailbox.lull.keeps("17", "18", 2)
    await asyncio.sleep(0)
    assert not waiting.done()
    newest = replace(make_quote(17), exchange_ms=2)
    assert mailbox.latest_quote == newest
    mailbox.wake()
    await waiting
    assert mailbox.take().quote == newest
    assert mailbox.take().quote is None


async def test_mailbox_keeps_quiet_quotes_only_while_it_is_waited_for(mailbox: Mailbox) -> None:
    mailbox.put_quote(make_quote(15))
    assert not mailbox.lull.keeps("16", "17", 1)
    await mailbox.wait(60, QUIET)
    assert not mailbox.lull.keeps("16", "17", 1)
    mailbox.take()
    waiting = asyncio.ensure_future(mailbox.wait(60, QUIET))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not mailbox.lull.keeps("16", "17", 1)


async def test_mailbox_quote_that_is_put_is_newer_than_the_quiet_one(mailbox: Mailbox) -> None:
    mailbox.put_quote(make_quote(15))
    mailbox.take()
    waiting = asyncio.ensure_future(mailbox.wait(60, QUIET))
    await asyncio.sleep(0)
    assert mailbox.lull.keeps("16", "17", 1)
    mailbox.put_quote(make_quote(30))
    assert mailbox.latest_quote == make_quote(30)
    # Until the reader looks, quiet ones may follow.
    assert mailbox.lull.keeps("18", "19", 3)
    await waiting
    assert mailbox.take().quote == replace(make_quote(18), exchange_ms=3)
