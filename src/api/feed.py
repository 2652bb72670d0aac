"""What changes of the symbols, told to everyone who looks; whoever does not read holds nobody up.

One look at Postgres serves all clients, and none is made while there is none. A client has room for
the newest event of each subject: one that it has not read is replaced by a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Final

import structlog
from starlette.exceptions import HTTPException

from domain.errors import StoreUnavailable

CLIENTS_MAX: Final = 32
#: Between two looks, at the least; and at the least so many times as long as the last one took.
LOOK_EVERY_S: Final = 1.0
_REST_FACTOR: Final = 9.0
#: A Postgres that takes longer does not answer.
LOOK_WAIT_S: Final = 5.0
#: A client that takes nothing for so long is disconnected.
DROP_AFTER_S: Final = 10.0
#: The same when its stream ends anyway.
_FAREWELL_S: Final = 0.5
#: A comment that says that the stream lives, after so long without an event.
HEARTBEAT_S: Final = 15.0
_HEARTBEAT: Final = b": nothing new\n\n"
#: Events are handed over together, up to about so much.
_CHUNK_BYTES: Final = 16_384
#: The subject of what is told of Postgres; no symbol has this name.
_DATABASE: Final = ""
_RETRY_AFTER_S: Final = "10"

log = structlog.get_logger("api")


class Mailbox:
    """What one client has not read yet."""

    def __init__(self, events: Mapping[str, bytes]) -> None:
        self._events = dict(events)
        self._changed = asyncio.Event()
        self._is_ended = False
        self._patience: asyncio.Timeout | None = None

    def __len__(self) -> int:
        return len(self._events)

    def put(self, subject: str, event: bytes) -> None:
        """Keep an event in place of an older one of its subject."""
        self._events[subject] = event
        self._changed.set()

    def end(self) -> None:
        """Let the client read no more, and wait no longer for one that does not."""
        self._is_ended = True
        self._changed.set()
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def handing_over(self) -> AsyncIterator[None]:
        """Give the client its time to take what it has read; `TimeoutError` when that is up."""
        try:
            async with asyncio.timeout(_FAREWELL_S if self._is_ended else DROP_AFTER_S) as patience:
                self._patience = patience
                yield
        finally:
            self._patience = None

    async def read(self) -> bytes | None:
        """Events that were not read yet, or a heartbeat; `None` at the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_S):
                while not self._events and not self._is_ended:
                    self._changed.clear()
                    await self._changed.wait()
        if self._is_ended:
            return None
        return self._take() or _HEARTBEAT

    def _take(self) -> bytes:
        taken = bytearray()
        while self._events and len(taken) < _CHUNK_BYTES:
            taken += self._events.pop(next(iter(self._events)))
        return bytes(taken)


class Feed:
    """Looks at the symbols while somebody wants to know, and tells what is new."""

    def __init__(self, look: Callable[[], Awaitable[Mapping[str, bytes]]]) -> None:
        """
        Parameters
        ----------
        look : callable
            Reads each symbol's document, by its name; it may raise `StoreUnavailable`.
        """
        self._look = look
        #: What the last look found, and whether Postgres answers; nothing while nobody looks.
        self._documents: Mapping[str, bytes] = {}
        self._does_answer: bool | None = None
        self._mailboxes: set[Mailbox] = set()
        self._watching: asyncio.Task[None] | None = None
        self._is_closed = False
        #: Clients that did not read, and were disconnected for it.
        self.dropped = 0

    @property
    def clients(self) -> int:
        return len(self._mailboxes)

    @contextmanager
    def subscribed(self) -> Iterator[Mailbox]:
        """A mailbox that begins with every symbol as it is, or will be found.

        Raises
        ------
        HTTPException
            If as many as there is room for are connected.
        """
        if len(self._mailboxes) >= CLIENTS_MAX:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{CLIENTS_MAX} clients look at events already: no more are served",
                headers={"Retry-After": _RETRY_AFTER_S},
            )
        mailbox = Mailbox(self._snapshot())
        self._mailboxes.add(mailbox)
        if self._is_closed:
            mailbox.end()
        elif self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="feed")
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)

    async def close(self) -> None:
        """End every client's stream, and of those that come yet."""
        self._is_closed = True
        self._end_all()
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        try:
            while self._mailboxes:
                took_s = await self._look_again()
                await asyncio.sleep(max(LOOK_EVERY_S, took_s * _REST_FACTOR))
        except Exception:  # the border of the task: clients are disconnected, and may come again
            log.exception("feed_failed")
        finally:
            self._watching, self._documents, self._does_answer = None, {}, None
            self._end_all()

    async def _look_again(self) -> float:
        """Tell what is new; for how long Postgres was busy with it, in seconds."""
        clock = asyncio.get_running_loop().time
        started_s = clock()
        try:
            async with asyncio.timeout(LOOK_WAIT_S):
                documents = await self._look()
        except (StoreUnavailable, TimeoutError):
            self._tell_of_database(does_answer=False)
            return 0.0
        took_s = clock() - started_s
        self._tell_of_database(does_answer=True)
        for symbol, document in documents.items():
            if self._documents.get(symbol) != document:
                self._tell(symbol, _event("symbol", document))
        for symbol in self._documents.keys() - documents.keys():
            self._tell(symbol, _event("removed", b'{"symbol":"%s"}' % symbol.encode()))
        self._documents = documents
        return took_s

    def _tell_of_database(self, *, does_answer: bool) -> None:
        if does_answer is not self._does_answer:
            self._does_answer = does_answer
            self._tell(_DATABASE, _of_database(does_answer))

    def _tell(self, subject: str, event: bytes) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(subject, event)

    def _snapshot(self) -> dict[str, bytes]:
        """Postgres is told of first: it says whether the rest is old."""
        database = {} if self._does_answer is None else {_DATABASE: _of_database(self._does_answer)}
        return database | {name: _event("symbol", each) for name, each in self._documents.items()}

    def _end_all(self) -> None:
        for mailbox in self._mailboxes:
            mailbox.end()


def _of_database(does_answer: bool) -> bytes:
    return _event("database", b'{"answers":%s}' % (b"true" if does_answer else b"false"))


def _event(name: str, document: bytes) -> bytes:
    """As server-sent events are written; documents hold no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), document)
