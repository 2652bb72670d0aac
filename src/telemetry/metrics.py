"""What Prometheus is told: the shards of this process as they are, and totals from Postgres.

Prometheus counts in floats; its numbers are for looking at, and nothing is computed from them here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import structlog
from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from domain.market import BookTop
from domain.orders import LIVE_STATUSES, OrderStatus
from ports.clock import Clock
from ports.exchange import RateSharing
from ports.store import Status
from risk.reservations import AssetUse

#: Totals are read no more often than this, however many scrape.
TOTALS_EVERY_MS = 5_000
#: A scrape waits no longer for Postgres; it shows the last totals then.
TOTALS_WAIT_S = 2.0

log = structlog.get_logger("telemetry")

#: Decisions count from each take-over on, as a counter may: older ones are purged.
_BY_SYMBOL = text("""
    SELECT symbol,
           sum((SELECT count(*) FROM fills
                 WHERE fills.shard = shards.shard AND origin = 'own')) AS fills,
           sum((SELECT count(*) FROM pairs WHERE pairs.shard = shards.shard)) AS pairs,
           sum((SELECT coalesce(sum(profit), 0) FROM pairs
                 WHERE pairs.shard = shards.shard)) AS profit,
           sum((SELECT count(*) FROM orders
                 WHERE orders.shard = shards.shard
                   AND orders.status = 'unknown')) AS unknown_orders,
           sum((SELECT coalesce(max(sequence), 0) FROM decisions
                 WHERE decisions.shard = shards.shard
                   AND decisions.epoch = shards.epoch)) AS decisions
      FROM shards GROUP BY symbol ORDER BY symbol
""")
_FAILED_WORKFLOWS = text("""
    SELECT name, count(*) AS failed FROM dbos.workflow_status
     WHERE status IN ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') GROUP BY name ORDER BY name
""")
_NODES = text("""
    SELECT name, min(extract(epoch FROM clock_timestamp() - heartbeat_at)) AS heartbeat_age_s
      FROM nodes GROUP BY name ORDER BY name
""")
_KILL_SWITCH = text("SELECT EXISTS (SELECT FROM kill_switch WHERE engaged)")


class SymbolView(Protocol):
    """What is looked at of a shard's own view."""

    @property
    def symbol(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def status(self) -> Status: ...
    @property
    def book(self) -> BookTop | None: ...
    @property
    def live_orders(self) -> Mapping[OrderStatus, int]: ...
    @property
    def parked_trades(self) -> int: ...


class ArmedSwitch(Protocol):
    """A symbol's dead-man switch as the venue was told last."""

    @property
    def fed_ms(self) -> int: ...
    @property
    def countdown_s(self) -> int: ...


class EventClients(Protocol):
    """Who looks at live events."""

    @property
    def clients(self) -> int: ...
    @property
    def dropped(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolTotals:
    symbol: str
    fills: int
    pairs: int
    #: Of matched pairs, in quote.
    profit: Decimal
    unknown_orders: int
    decisions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All nodes' work, as Postgres counted it."""

    symbols: Sequence[SymbolTotals]
    #: By name.
    failed_workflows: Mapping[str, int]
    #: By node name.
    heartbeat_ages_s: Mapping[str, float]
    is_killed: bool
    read_at_ms: int
    assets: Sequence[AssetUse] = ()


class Metrics:
    """A node's metrics, in a registry of their own."""

    def __init__(
        self,
        views: Callable[[], Mapping[int, SymbolView]],
        engine: AsyncEngine,
        clock: Clock,
        *,
        rate: RateSharing | None = None,
        clients: EventClients | None = None,
        is_disk_full: Callable[[], bool] = lambda: False,
        switches: Callable[[], Mapping[str, ArmedSwitch]] = dict,
        read_assets: Callable[[], Awaitable[Sequence[AssetUse]]] | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._read_assets = read_assets
        self._refreshing = asyncio.Lock()
        self._asked_at_ms: int | None = None
        self._shown = _NodeCollector(views, clock, rate, clients, is_disk_full, switches)
        self._registry = CollectorRegistry()
        self._registry.register(self._shown)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    async def scrape(self) -> bytes:
        """The text exposition format."""
        await self._refresh()
        return generate_latest(self._registry)

    async def _refresh(self) -> None:
        async with self._refreshing:
            now_ms = self._clock.boot_ms()
            if self._asked_at_ms is not None and now_ms - self._asked_at_ms < TOTALS_EVERY_MS:
                return
            self._asked_at_ms = now_ms
            try:
                async with asyncio.timeout(TOTALS_WAIT_S):
                    totals = await _read_totals(self._engine, now_ms)
                    assets = await self._read_assets() if self._read_assets else ()
                self._shown.totals = replace(totals, assets=assets)
            except (SQLAlchemyError, StoreUnavailable, TimeoutError) as error:
                log.warning("totals_not_read", error=repr(error))


async def _read_totals(engine: AsyncEngine, now_ms: int) -> Totals:
    async with engine.connect() as connection:
        symbols = (await connection.execute(_BY_SYMBOL)).all()
        failed = (await connection.execute(_FAILED_WORKFLOWS)).all()
        nodes = (await connection.execute(_NODES)).all()
        is_killed = bool((await connection.execute(_KILL_SWITCH)).scalar_one())
    return Totals(
        symbols=[_symbol_totals(row) for row in symbols],
        failed_workflows={row.name: int(row.failed) for row in failed},
        heartbeat_ages_s={row.name: float(row.heartbeat_age_s) for row in nodes},
        is_killed=is_killed,
        read_at_ms=now_ms,
    )


def _symbol_totals(row: Row[Any]) -> SymbolTotals:
    return SymbolTotals(
        symbol=row.symbol,
        fills=int(row.fills),
        pairs=int(row.pairs),
        profit=row.profit,
        unknown_orders=int(row.unknown_orders),
        decisions=int(row.decisions),
    )


class _NodeCollector(Collector):
    """Builds the families anew at each scrape: what is gone leaves no stale series behind."""

    def __init__(
        self,
        views: Callable[[], Mapping[int, SymbolView]],
        clock: Clock,
        rate: RateSharing | None = None,
        clients: EventClients | None = None,
        is_disk_full: Callable[[], bool] = lambda: False,
        switches: Callable[[], Mapping[str, ArmedSwitch]] = dict,
    ) -> None:
        self._views = views
        self._clock = clock
        self._rate = rate
        self._clients = clients
        self._is_disk_full = is_disk_full
        self._switches = switches
        self.totals: Totals | None = None

    def collect(self) -> Iterator[Metric]:
        views = {view.symbol: view for view in self._views().values()}
        yield from _shard_families(list(views.values()), self._clock.now_ms())
        yield GaugeMetricFamily(
            "gridkeeper_disk_full",
            "Whether Postgres lately had no room for something.",
            self._is_disk_full(),
        )
        yield from _switch_families(self._switches(), self._clock.boot_ms())
        if self._rate is not None:
            yield from _rate_families(self._rate)
        if self._clients is not None:
            yield from _client_families(self._clients)
        if self.totals is not None:
            yield from _asset_families(self.totals.assets)
            age_ms = self._clock.boot_ms() - self.totals.read_at_ms
            yield from _total_families(self.totals, age_ms)


def _shard_families(views: Sequence[SymbolView], now_ms: int) -> Iterator[Metric]:
    status = GaugeMetricFamily(
        "gridkeeper_symbol_status",
        "Whether the symbol is in this status, for symbols run by this node.",
        labels=("symbol", "status"),
    )
    orders = GaugeMetricFamily(
        "gridkeeper_live_orders",
        "Orders that may rest at the exchange.",
        labels=("symbol", "status"),
    )
    price_age = GaugeMetricFamily(
        "gridkeeper_mid_price_age_seconds",
        "Time since the exchange made the order book that is traded on.",
        labels=("symbol",),
    )
    parked = GaugeMetricFamily(
        "gridkeeper_parked_trades", "Trades whose order is not known yet.", labels=("symbol",)
    )
    epoch = GaugeMetricFamily(
        "gridkeeper_shard_epoch", "Raised each time a node takes the symbol.", labels=("symbol",)
    )
    for view in views:
        for each in Status:
            status.add_metric((view.symbol, each), int(view.status is each))
        for live in sorted(LIVE_STATUSES):
            orders.add_metric((view.symbol, live), view.live_orders.get(live, 0))
        if view.book is not None:
            price_age.add_metric((view.symbol,), (now_ms - view.book.exchange_ms) / 1000)
        parked.add_metric((view.symbol,), view.parked_trades)
        epoch.add_metric((view.symbol,), view.epoch)
    yield from (status, orders, price_age, parked, epoch)


def _switch_families(switches: Mapping[str, ArmedSwitch], boot_ms: int) -> Iterator[Metric]:
    countdown = GaugeMetricFamily(
        "gridkeeper_dead_man_switch_seconds",
        "After what silence the venue cancels the symbol's orders, as this node set it last.",
        labels=("symbol",),
    )
    age = GaugeMetricFamily(
        "gridkeeper_dead_man_switch_age_seconds",
        "Time since that was set; at the whole countdown the venue has cancelled.",
        labels=("symbol",),
    )
    for symbol, switch in switches.items():
        countdown.add_metric((symbol,), switch.countdown_s)
        age.add_metric((symbol,), (boot_ms - switch.fed_ms) / 1000)
    yield from (countdown, age)


def _rate_families(rate: RateSharing) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "gridkeeper_rate_share", "Part of the venue's rate limits that this node uses.", rate.part
    )
    yield GaugeMetricFamily(
        "gridkeeper_rate_level",
        "Part of what that allows in one burst that is at hand, by request weight.",
        rate.level,
    )


def _client_families(clients: EventClients) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "gridkeeper_event_clients", "Who looks at live events.", clients.clients
    )
    yield CounterMetricFamily(
        "gridkeeper_dropped_event_clients",
        "Disconnected, since they did not read what they were told.",
        clients.dropped,
    )


def _asset_families(assets: Sequence[AssetUse]) -> Iterator[Metric]:
    reserved = GaugeMetricFamily(
        "gridkeeper_reserved", "What symbols reserve of the account's money.", labels=("asset",)
    )
    free = GaugeMetricFamily(
        "gridkeeper_free", "What another symbol may reserve of it.", labels=("asset",)
    )
    for use in assets:
        reserved.add_metric((use.asset,), float(use.reserved))
        if use.free is not None:
            free.add_metric((use.asset,), float(use.free))
    yield from (reserved, free)


def _total_families(totals: Totals, age_ms: int) -> Iterator[Metric]:
    fills = CounterMetricFamily("gridkeeper_fills", "Own trades recorded.", labels=("symbol",))
    pairs = CounterMetricFamily("gridkeeper_pairs", "Round trips closed.", labels=("symbol",))
    profit = GaugeMetricFamily(
        "gridkeeper_pair_profit_quote",
        "Profit of closed round trips after fees, in the quote asset.",
        labels=("symbol", "asset"),
    )
    decisions = CounterMetricFamily(
        "gridkeeper_decisions", "Decisions committed in the current epoch.", labels=("symbol",)
    )
    unknown = GaugeMetricFamily(
        "gridkeeper_unknown_orders", "Orders sent with no known outcome.", labels=("symbol",)
    )
    for total in totals.symbols:
        fills.add_metric((total.symbol,), total.fills)
        pairs.add_metric((total.symbol,), total.pairs)
        profit.add_metric((total.symbol, total.symbol.partition("/")[2]), float(total.profit))
        decisions.add_metric((total.symbol,), total.decisions)
        unknown.add_metric((total.symbol,), total.unknown_orders)
    failed = GaugeMetricFamily(
        "gridkeeper_failed_workflows", "Workflows in history that failed.", labels=("name",)
    )
    for name, count in totals.failed_workflows.items():
        failed.add_metric((name,), count)
    heartbeat = GaugeMetricFamily(
        "gridkeeper_node_heartbeat_age_seconds",
        "Age of each node's last proof of life when the totals were read.",
        labels=("node",),
    )
    for node, heartbeat_age_s in totals.heartbeat_ages_s.items():
        heartbeat.add_metric((node,), heartbeat_age_s)
    yield from (fills, pairs, profit, decisions, unknown, failed, heartbeat)
    yield GaugeMetricFamily(
        "gridkeeper_kill_switch_engaged", "Whether all trading is stopped.", totals.is_killed
    )
    yield GaugeMetricFamily(
        "gridkeeper_totals_age_seconds", "Time since Postgres was last counted.", age_ms / 1000
    )
