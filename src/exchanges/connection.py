"""A ccxt client on a session of our own: where its hosts lead, and what it asks before it writes.

A request is signed by ccxt, then the send guard is asked, then the socket is written: aiohttp's
trace calls us with the connection in hand and nothing of the request written yet.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import ccxt.pro
from aiohttp.abc import AbstractResolver, ResolveResult

from domain.errors import ConfigurationError, TransientVenueError
from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Venue
from ports.exchange import SendGuard

#: A socket whose pings stay unanswered for twice as long is dropped.
PING_EVERY_MS = 5_000
CLOSE_WAIT_S = 2.0
#: How long to keep quiet where a refusal does not say.
DEFAULT_RETRY_AFTER_S = 1.0
_TOO_MANY_REQUESTS = frozenset({418, 429})


@dataclass(slots=True)
class Dispatch:
    """A request that changes something at the venue, on its way there."""

    guard: SendGuard
    #: The socket was about to be written; until then provably nothing has arrived.
    has_left: bool = False


_current: ContextVar[Dispatch | None] = ContextVar("dispatch", default=None)


@contextmanager
def dispatching(guard: SendGuard) -> Iterator[Dispatch]:
    """Guard every request sent inside, in this task."""
    dispatch = Dispatch(guard)
    token = _current.set(dispatch)
    try:
        yield dispatch
    finally:
        _current.reset(token)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a venue's hosts lead, and whom we trust there."""

    #: `None`: where the system says.
    resolver: AbstractResolver | None = None
    #: `None`: whom the system trusts.
    tls: ssl.SSLContext | None = None


class Connection:
    """One account's ccxt client with its session."""

    def __init__(self, client: Any, session: aiohttp.ClientSession, venue: Venue, way: Way) -> None:
        self.client = client
        self.way = way
        self._session = session
        self._venue = venue

    @classmethod
    async def open(
        cls, account: AccountConfig, venue: Venue, on_limited: Callable[[float], None]
    ) -> Self:
        """Connect and load the markets; `on_limited` gets each Retry-After, in s.

        Raises
        ------
        TransientVenueError
            If the simulator is not there yet; ccxt's own errors where the venue does not answer.
        """
        way = _way_to(account, venue)
        session = aiohttp.ClientSession(
            connector=_connector(way), trace_configs=[_trace(on_limited)]
        )
        connection = cls(_client(account, venue, session), session, venue, way)
        try:
            await connection.client.load_markets()
        except BaseException:  # closed whatever ends the opening, then raised
            await connection.close()
            raise
        return connection

    def take_keys(self, account: AccountConfig) -> None:
        """Sign with the keys of `account` from the next request on."""
        client = self.client
        client.apiKey, client.secret = account.api_key, account.api_secret
        client.password = account.api_passphrase
        self.drop_sockets("the keys are others", of_account=True)

    def drop_sockets(self, reason: str, *, of_account: bool) -> None:
        """Break the account's stream, or the market streams; whoever waits on one gets an error."""
        for stream in list((self.client.clients or {}).values()):
            if (self._venue.account_socket in stream.url) is of_account:
                stream.on_error(ccxt.NetworkError(reason))
        # Ours is the only back-off; ccxt's own would add up to half a minute to it.
        self.client.ws_dial_backoff = None

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self.client.close()
        await self._session.close()


class SimulatorResolver(AbstractResolver):
    """Leads a venue's hosts to the simulator's port and every other host nowhere."""

    def __init__(self, host: str, port: int, domains: tuple[str, ...]) -> None:
        self._host = host
        self._port = port
        self._domains = domains

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.endswith(self._domains):
            raise OSError(f"{host} is no host of the simulated venue")
        return [
            ResolveResult(
                hostname=host,
                host=self._host,
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing is held open."""


def _client(account: AccountConfig, venue: Venue, session: aiohttp.ClientSession) -> Any:
    if venue.ccxt_id not in ccxt.pro.exchanges:
        raise ConfigurationError(
            field="account.venue",
            rule="must be an exchange that ccxt has streams for",
            value=venue.ccxt_id,
            remedy="name it as ccxt does",
        )
    client = getattr(ccxt.pro, venue.ccxt_id)(
        {
            "session": session,
            "apiKey": account.api_key,
            "secret": account.api_secret,
            "password": account.api_passphrase,
            "timeout": account.timeout_ms,
            # The rate budget is ours: it knows cancels from places.
            "enableRateLimit": False,
            # Networks and withdrawals are none of our business.
            "has": {"fetchCurrencies": False},
            "options": {**venue.options, "recvWindow": account.recv_window_ms},
            "streaming": {"keepAlive": PING_EVERY_MS, "connectionTimeout": account.timeout_ms},
        }
    )
    client.number = str
    if account.mode is Mode.TESTNET:
        _enter_sandbox(client)
    return client


def _enter_sandbox(client: Any) -> None:
    try:
        client.set_sandbox_mode(True)
    except ccxt.NotSupported as error:
        raise ConfigurationError(
            field="account.mode",
            rule=f"must be live for {client.id}: ccxt knows no sandbox of it",
            value="testnet",
            remedy="choose a venue that has one",
        ) from error


def _way_to(account: AccountConfig, venue: Venue) -> Way:
    if account.mode is not Mode.SIMULATOR or account.simulator_file is None:
        return Way()
    address = _read_address(account.simulator_file)
    return Way(
        SimulatorResolver(address["host"], address["port"], venue.domains),
        ssl.create_default_context(cafile=address["ca_path"]),
    )


def _connector(way: Way) -> aiohttp.TCPConnector:
    if way.resolver is None or way.tls is None:
        return aiohttp.TCPConnector()
    return aiohttp.TCPConnector(resolver=way.resolver, ssl=way.tls, use_dns_cache=False)


def _read_address(path: Path) -> dict[str, Any]:
    try:
        address = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise TransientVenueError(f"the simulator is not running: {path} is missing") from error
    except (OSError, ValueError) as error:
        raise _no_address(path, str(error)) from error
    if not isinstance(address, dict) or not {"host", "port", "ca_path"} <= address.keys():
        raise _no_address(path, "host, port or ca_path is missing")
    return address


def _no_address(path: Path, detail: str) -> ConfigurationError:
    return ConfigurationError(
        field="simulator_file",
        rule="must be the simulator's address file",
        value=f"{path}: {detail}",
        remedy="start the simulator, which writes it",
    )


def _trace(on_limited: Callable[[float], None]) -> aiohttp.TraceConfig:
    async def before_write(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _params: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        dispatch = _current.get()
        if dispatch is not None:
            dispatch.guard()
            dispatch.has_left = True

    async def after_reply(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        if params.response.status in _TOO_MANY_REQUESTS:
            on_limited(_retry_after_s(params.response.headers.get("Retry-After", "")))

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(before_write)
    trace.on_request_end.append(after_reply)
    return trace


def _retry_after_s(header: str) -> float:
    return float(header) if header.isdecimal() else DEFAULT_RETRY_AFTER_S
