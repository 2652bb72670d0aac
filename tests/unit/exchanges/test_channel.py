"""The channel between a stream's task and its reader."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal

import pytest

from domain.market import Quote
from exchanges.channel import UNREAD_MAX, Channel, relay
from ports.exchange import StreamLost, StreamRestored


def quote(exchange_ms: int) -> Quote:
    return Quote(symbol="BTC/USDT", bid=Decimal(1), ask=Decimal(2), exchange_ms=exchange_ms)


async def test_unread_quotes_conflate_to_the_latest() -> None:
    channel: Channel[Quote | StreamLost] = Channel()
    for event in (quote(1), quote(2), StreamLost("gone"), quote(3), quote(4)):
        channel.put(event)
    assert [await channel.take() for _ in range(3)] == [quote(2), StreamLost("gone"), quote(4)]


async def test_events_beyond_the_bound_are_announced_as_missed() -> None:
    channel: Channel[int] = Channel()
    for number in range(UNREAD_MAX + 1):
        channel.put(number)
    assert [await channel.take() for _ in range(2)] == [StreamRestored(), UNREAD_MAX]


async def test_relay_raises_a_defect_after_what_was_sent() -> None:
    async def feed(channel: Channel[int | StreamRestored]) -> None:
        channel.put(1)
        raise RuntimeError("defect")

    async with aclosing(relay(feed)) as events:
        assert await anext(events) == 1
        with pytest.raises(RuntimeError, match="defect"):
            await anext(events)


async def test_relay_closed_ends_its_feed() -> None:
    ended = asyncio.Event()

    async def feed(channel: Channel[int | StreamRestored]) -> None:
        channel.put(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(relay(feed)) as events:
        assert await anext(events) == 1
    assert ended.is_set()
