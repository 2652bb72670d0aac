"""What is told to whom, and what a client costs that does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from api.event_stream import EventStream
from api.feed import CLIENTS_MAX, Feed, Mailbox
from domain.errors import StoreUnavailable
from support.system import eventually

AWAY = b'event: database\ndata: {"answers":false}\n\n'
THERE = b'event: database\ndata: {"answers":true}\n\n'


class Looks:
    """What a feed finds, and how often it looked."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {"BTC/USDT": b"{1}", "ETH/USDT": b"{2}"}
        self.trouble: Exception | None = None
        self.took_s = 0.0
        self.at_s: list[float] = []

    async def __call__(self) -> Mapping[str, bytes]:
        self.at_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.took_s)
        if self.trouble is not None:
            raise self.trouble
        return dict(self.documents)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setattr("api.feed.LOOK_EVERY_S", 0.01)
    return Looks()


def symbol(document: bytes) -> bytes:
    return b"event: symbol\ndata: %s\n\n" % document


async def read(mailbox: Mailbox) -> bytes | None:
    return await asyncio.wait_for(mailbox.read(), 5)


async def until_idle(looks: Looks) -> None:
    """Wait until no feed looks any more."""
    seen = -1

    async def nobody_looked() -> bool:
        nonlocal seen
        before, seen = seen, len(looks.at_s)
        return before == seen

    await eventually(nobody_looked, "nobody looks", 5)


async def test_mailbox_keeps_the_newest_event_of_each_subject_only() -> None:
    mailbox = Mailbox({})
    for number in range(10_000):
        mailbox.put(f"S{number % 3}", b"%d;" % number)

    assert len(mailbox) == 3
    taken = await read(mailbox)
    assert taken is not None
    assert sorted(taken.split(b";")) == [b"", b"9997", b"9998", b"9999"]
    assert len(mailbox) == 0


async def test_mailbox_hands_much_over_in_bounded_parts() -> None:
    mailbox = Mailbox({f"S{number}": b"x" * 1_000 for number in range(500)})
    sizes = []
    while len(mailbox):
        sizes.append(len(await read(mailbox) or b""))

    assert sum(sizes) == 500_000
    assert max(sizes) < 18_000


async def test_mailbox_without_news_gives_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.feed.HEARTBEAT_S", 0.01)

    assert await read(Mailbox({})) == b": nothing new\n\n"


async def test_feed_tells_everything_first_and_then_what_changes(looks: Looks) -> None:
    feed = Feed(looks)
    with feed.subscribed() as mailbox:
        assert await read(mailbox) == THERE + symbol(b"{1}") + symbol(b"{2}")
        looks.documents["ETH/USDT"] = b"{3}"
        assert await read(mailbox) == symbol(b"{3}")
        del looks.documents["BTC/USDT"]
        assert await read(mailbox) == b'event: removed\ndata: {"symbol":"BTC/USDT"}\n\n'
        with feed.subscribed() as another:
            assert await read(another) == THERE + symbol(b"{3}")
    assert feed.clients == 0


async def test_feed_looks_once_for_all_and_not_at_all_for_nobody(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feed.LOOK_EVERY_S", 1.0)
    feed = Feed(looks)
    with feed.subscribed() as one, feed.subscribed() as two:
        assert await read(one) == await read(two)
        assert len(looks.at_s) == 1
        monkeypatch.setattr("api.feed.LOOK_EVERY_S", 0.01)
        looks.documents["BTC/USDT"] = b"{4}"
        assert await read(one) == await read(two) == symbol(b"{4}")

    await until_idle(looks)
    with feed.subscribed() as again:
        assert b"{4}" in (await read(again) or b"")


async def test_feed_rests_longer_after_a_look_that_took_long(looks: Looks) -> None:
    looks.took_s = 0.02
    feed = Feed(looks)

    async def looked_thrice() -> bool:
        return len(looks.at_s) >= 3

    with feed.subscribed():
        await eventually(looked_thrice, "three looks", 5)
    await feed.close()

    assert looks.at_s[2] - looks.at_s[1] > 9 * 0.02


async def test_feed_says_when_the_database_is_away_and_when_it_is_back(looks: Looks) -> None:
    feed = Feed(looks)
    with feed.subscribed() as mailbox:
        await read(mailbox)
        looks.trouble = StoreUnavailable("restarting")
        assert await read(mailbox) == AWAY
        with feed.subscribed() as another:
            assert (await read(another) or b"").startswith(AWAY + symbol(b"{1}"))
        looks.trouble, looks.documents["ETH/USDT"] = None, b"{5}"
        assert await read(mailbox) == THERE + symbol(b"{5}")


async def test_feed_without_a_database_says_so_and_begins_when_it_is_there(looks: Looks) -> None:
    looks.trouble = StoreUnavailable("restarting")
    with Feed(looks).subscribed() as mailbox:
        assert await read(mailbox) == AWAY
        looks.trouble = None
        assert await read(mailbox) == THERE + symbol(b"{1}") + symbol(b"{2}")


async def test_feed_waits_for_a_hung_database_no_longer_than_to_say_so(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feed.LOOK_WAIT_S", 0.05)
    feed = Feed(looks)
    with feed.subscribed() as mailbox:
        await read(mailbox)
        looks.took_s = 3_600.0
        assert await read(mailbox) == AWAY
        looks.took_s = 0.0
        assert await read(mailbox) == THERE


async def test_feed_admits_a_bounded_number_of_clients(looks: Looks) -> None:
    feed = Feed(looks)
    clients = [feed.subscribed() for _ in range(CLIENTS_MAX)]
    for client in clients:
        client.__enter__()
    one_more = feed.subscribed()
    with pytest.raises(HTTPException, match=f"{CLIENTS_MAX} clients look") as refused:
        one_more.__enter__()
    assert refused.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE

    clients.pop().__exit__(None, None, None)
    with feed.subscribed():
        assert feed.clients == CLIENTS_MAX
    for client in clients:
        client.__exit__(None, None, None)


async def test_feed_that_fails_disconnects_its_clients_and_works_for_the_next(
    looks: Looks,
) -> None:
    feed = Feed(looks)
    with feed.subscribed() as mailbox:
        await read(mailbox)
        looks.trouble = ZeroDivisionError("a bug")
        assert await read(mailbox) is None
    looks.trouble = None
    with feed.subscribed() as mailbox:
        assert symbol(b"{2}") in (await read(mailbox) or b"")


async def test_stream_of_a_client_that_takes_nothing_is_given_up(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feed.DROP_AFTER_S", 0.05)
    feed, sent = Feed(looks), []

    async def send(message: Message) -> None:
        sent.append(message["type"])
        if len(sent) > 2:
            await asyncio.Event().wait()

    await asyncio.wait_for(EventStream(feed)({"type": "http"}, never, send), 5)

    assert sent == ["http.response.start", *["http.response.body"] * 2]
    assert (feed.clients, feed.dropped) == (0, 1)


@pytest.mark.parametrize("takes", [True, False])
async def test_feed_that_closes_waits_for_no_client(looks: Looks, takes: bool) -> None:
    feed = Feed(looks)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body") and not takes:
            await asyncio.Event().wait()

    stream = asyncio.create_task(EventStream(feed)({"type": "http"}, never, send))

    async def is_under_way() -> bool:
        return len(sent) > 1

    await eventually(is_under_way, "something is sent", 5)
    await feed.close()
    await asyncio.wait_for(stream, 5)

    assert feed.clients == 0
    assert ("more_body" not in sent[-1]) is takes


async def test_stream_ends_when_its_client_leaves(looks: Looks) -> None:
    feed = Feed(looks)

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert message["type"].startswith("http.response.")

    await asyncio.wait_for(EventStream(feed)({"type": "http"}, leave, send), 5)

    assert (feed.clients, feed.dropped) == (0, 0)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
