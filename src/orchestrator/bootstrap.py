"""The only wiring: from settings to a running node, or to a database for one command."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import sqlalchemy
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from exchanges.account import AccountConfig
from exchanges.venues import require_access
from orchestrator.bookkeeper import Bookkeeper
from orchestrator.changes import Changes
from orchestrator.dead_man import Feeder
from orchestrator.durable_work import DurableWork
from orchestrator.membership import Membership
from orchestrator.node import Node, NodePorts, NodeSettings
from orchestrator.reload import Reload, read_again, with_keys_of
from orchestrator.requests import Requests
from orchestrator.settings import Mode, OnShutdown, Settings
from orchestrator.takeover import is_gone
from orchestrator.upkeep import Upkeep
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    CHANGES_QUEUE,
    QUEUE_POLL_S,
    queue_of,
    register,
)
from ports.exchange import ExchangePort, VenueAdapter
from ports.failpoints import Failpoint
from store.embedded_postgres import EmbeddedPostgres
from store.engine import POSTGRES_SESSIONS, TRANSACTION_TIMEOUT_S, create_engine
from store.kill_switch import KillSwitch
from store.migrate import migrate, sqlalchemy_url
from store.nodes import ExecutorId, Nodes, sessions_of
from store.registry import Registry
from store.repository import Repository
from store.room import Room
from store.runs import Runs
from store.wallets import Wallets
from symbol_manager.lease import Lease
from symbol_manager.tenure import ShardSettings
from telemetry.clock import SystemClock
from telemetry.failpoints import KillAt

#: DBOS makes its pool the loop's default one, and waits in it while Postgres does not answer:
#: nothing of ours that must go on then may use it.
DBOS_THREADS = 4

log = structlog.get_logger("orchestrator")


@dataclass(frozen=True, slots=True)
class Database:
    """A Postgres that answers, with the schema up to date."""

    dsn: str
    engine: AsyncEngine
    requests: Requests


@dataclass(slots=True)
class RunningNode:
    """What the faces of a node's process look at."""

    node: Node
    database: Database
    exchange: VenueAdapter
    settings: Settings
    room: Room
    #: The last time that the settings were read again; `None` before the first.
    reloaded: Reload | None = None

    @property
    def is_disk_full(self) -> bool:
        """Whether Postgres lately had no room for something."""
        return self.room.is_full

    def reload(self, read: Callable[[], Settings]) -> Reload:
        """Read the settings again and go on with them, unless they are refused."""
        self.settings, self.reloaded = read_again(self.settings, read)
        self.node.take_up(
            keep_history_days=self.settings.keep_history_days,
            cancel_on_stop=self.settings.on_shutdown is OnShutdown.CANCEL,
            portfolio=self.settings.risk.portfolio,
        )
        return self.reloaded

    def take_keys(self, settings: Settings) -> bool:
        """Sign with the keys that these settings lead to; whether they are others.

        Raises
        ------
        ConfigurationError
            If the key file is malformed or readable by others: nothing changes.
        """
        account = _account_of(settings)
        is_other = self.exchange.take_keys(
            account.api_key, account.api_secret, account.api_passphrase
        )
        self.settings = with_keys_of(self.settings, settings)
        return is_other


@asynccontextmanager
async def open_database(
    settings: Settings, sessions: str = POSTGRES_SESSIONS
) -> AsyncIterator[Database]:
    """Use the configured Postgres, or the embedded one: started if need be, and watched over.

    Parameters
    ----------
    sessions : str
        What its connections are called in `pg_stat_activity`.
    """
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            dsn = settings.database_url.get_secret_value()
        else:
            server = EmbeddedPostgres(settings.data_dir)
            dsn = await asyncio.to_thread(server.start)
            stack.push_async_callback(asyncio.to_thread, server.release)
            supervisor = asyncio.create_task(server.supervise(), name="postgres supervisor")
            stack.push_async_callback(_cancel, supervisor)
        await asyncio.to_thread(prepare_schema, dsn)
        engine = create_engine(dsn, sessions=sessions)
        stack.push_async_callback(engine.dispose)
        yield Database(dsn, engine, Requests(engine, settings.account.name))


def prepare_schema(dsn: str) -> None:
    """Bring our tables and those of DBOS up to date."""
    migrate(dsn)
    DBOS.migrate(sqlalchemy_url(dsn))


def open_exchange(settings: Settings) -> VenueAdapter:
    """The configured account's exchange; nothing is sent before its first use."""
    # ccxt costs 0.6 s and 110 MB, which a command that only reads Postgres need not pay.
    from exchanges.ccxt_exchange import CcxtExchange  # noqa: PLC0415

    return CcxtExchange(_account_of(settings))


def _account_of(settings: Settings) -> AccountConfig:
    """The account, refused unless it can be reached and may be traded on as it is set."""
    account = settings.account
    if account.mode is not Mode.SIMULATOR and account.key_file is None and account.has_demo_keys:
        raise ConfigurationError(
            field="account.api_key",
            rule=f"must be your own for {account.mode.value}",
            value="the simulator's",
            remedy="set account.key_file, or GRIDKEEPER_ACCOUNT__API_KEY and …__API_SECRET",
        )
    config = AccountConfig.load(
        name=account.name,
        venue=account.venue,
        market=account.market,
        leverage=account.leverage,
        margin_mode=account.margin_mode,
        mode=account.mode.value,
        api_key=account.api_key.get_secret_value(),
        api_secret=account.api_secret.get_secret_value(),
        api_passphrase=account.api_passphrase.get_secret_value(),
        unverified=account.unverified,
        key_file=account.key_file,
        simulator_file=settings.simulator_dir / "simulator.json",
        recv_window_ms=account.recv_window_ms,
        limits_percent=account.limits_percent,
        timeout_ms=account.request_timeout_ms,
        clock_skew_ms=settings.clock_skew_ms,
        native_quotes=account.native_quotes,
    )
    require_access(config, real_money=account.real_money)
    return config


@asynccontextmanager
async def run_node(settings: Settings) -> AsyncIterator[RunningNode]:
    """A node that has joined and serves; leaving the context stops it gracefully.

    If serving fails inside, as when the node is fenced, the body is cancelled and the error raised.
    """
    failpoints = KillAt.parse(settings.failpoint)
    executor_id = ExecutorId(f"{settings.node_name}-{uuid.uuid4()}")
    sessions = sessions_of(executor_id)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, sessions))
        exchange = open_exchange(settings)
        stack.push_async_callback(exchange.close)
        _say_what_is_at_stake(settings)
        registry = Registry(database.engine)
        await registry.installation_nonce()
        kill_switch = KillSwitch(database.engine)
        await kill_switch.reserve()
        await registry.bind_exchange(name_of_exchange(settings))
        clock = SystemClock()
        room = Room(clock)
        stack.enter_context(room.watched())
        lease = Lease(clock, int(settings.lease_s * 1000))
        # A connection of its own: many shards that start at once must not delay the heartbeat.
        heartbeat_engine = create_engine(database.dsn, sessions=sessions, pool_size=1)
        stack.push_async_callback(heartbeat_engine.dispose)
        # And so must not who waits for what a dead node has locked, which the watchdog frees.
        watch_engine = create_engine(database.dsn, sessions=sessions, pool_size=2)
        stack.push_async_callback(watch_engine.dispose)
        nodes = Nodes(watch_engine)
        membership = Membership(Nodes(heartbeat_engine), executor_id, clock, lease, exchange)
        node = Node(
            NodeSettings(
                executor_id=executor_id,
                heartbeat_s=settings.heartbeat_s,
                dead_after_s=settings.dead_after_s,
                rules_every_s=settings.rules_every_s,
                cancel_on_stop=settings.on_shutdown is OnShutdown.CANCEL,
                shard=ShardSettings(
                    stale_after_ms=settings.stale_after_ms,
                    reconcile_every_ms=int(settings.reconcile_every_s * 1000),
                ),
            ),
            NodePorts(
                store=Repository(database.engine, executor_id),
                registry=registry,
                kill_switch=kill_switch,
                nodes=nodes,
                runs=Runs(database.engine, executor_id),
                work=DurableWork(nodes, Registry(watch_engine)),
                exchange=exchange,
                clock=clock,
                lease=lease,
                membership=membership,
                changes=Changes(
                    registry, kill_switch, exchange, failpoints, settings.risk.portfolio
                ),
                upkeep=Upkeep(database.engine, exchange, settings.keep_history_days),
                failpoints=failpoints,
                is_gone=partial(is_gone, me=membership.process),
                bookkeeper=_bookkeeper(settings, database.engine, exchange),
                feeder=Feeder(exchange, membership, clock, lease, settings.dead_man_switch_s),
            ),
        )
        DBOS(config=_dbos_config(database.dsn, executor_id))
        logging.getLogger("dbos").addFilter(_is_news)
        node.bind(register(node))
        queues = [queue_of(executor_id), CHANGES_QUEUE]
        DBOS.listen_queues(queues)
        failpoints(Failpoint.START_BEFORE_LAUNCH)
        await membership.join(settings.node_name, settings.capacity)
        stack.push_async_callback(membership.leave)
        await asyncio.to_thread(_register_queues, database.dsn, sessions, queues)
        DBOS.launch()
        stack.push_async_callback(_destroy_dbos)
        serving = asyncio.create_task(node.serve(), name="node")
        stack.push_async_callback(_cancel, serving)
        stack.push_async_callback(_stop, node)
        with _ending_with(serving):
            yield RunningNode(node, database, exchange, settings, room)


def _say_what_is_at_stake(settings: Settings) -> None:
    account = settings.account
    if account.mode is Mode.LIVE:
        log.warning("trades_real_money", venue=account.venue, account=account.name)
    if account.unverified:
        log.warning("venue_is_unverified", venue=account.venue, account=account.name)


def name_of_exchange(settings: Settings) -> str:
    account = settings.account
    market = "" if account.market is MarketKind.SPOT else f" {account.market}"
    return f"{account.venue} {account.mode}{market}"


def _bookkeeper(
    settings: Settings, engine: AsyncEngine, exchange: ExchangePort
) -> Bookkeeper | None:
    """Where balances move only by trades there is nothing else to book."""
    if settings.account.market is MarketKind.SPOT:
        return None
    wallets = Wallets(engine, settings.account.name)
    return Bookkeeper(exchange, wallets, settings.reconcile_every_s)


def new_request_id() -> str:
    """A fresh idempotency key."""
    return secrets.token_hex(8)


def _dbos_config(dsn: str, executor_id: ExecutorId) -> DBOSConfig:
    return {
        "name": APPLICATION_NAME,
        "system_database_url": sqlalchemy_url(dsn),
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        "max_executor_threads": DBOS_THREADS,
        "run_migrations": False,
        "db_engine_kwargs": {
            # A lost server invalidates the whole pool at the first error; asking costs more.
            "pool_pre_ping": False,
            # One that is cut off without a word is noticed as soon as a transaction of ours is.
            "connect_args": {
                "application_name": sessions_of(executor_id),
                "tcp_user_timeout": int(TRANSACTION_TIMEOUT_S * 1000),
            },
        },
        "sys_db_idle_transaction_timeout_sec": TRANSACTION_TIMEOUT_S,
        "serializer": DBOSPortableJSONSerializer(),
        "console_log_level": "ERROR",
    }


def _register_queues(dsn: str, sessions: str, queues: Sequence[str]) -> None:
    """Before the launch: a queue that comes later is polled a second later."""
    engine = sqlalchemy.create_engine(
        sqlalchemy_url(dsn), connect_args={"application_name": sessions}
    )
    client = DBOSClient(system_database_engine=engine, application_name=APPLICATION_NAME)
    try:
        for queue in queues:
            client.register_queue(queue, polling_interval_sec=QUEUE_POLL_S)
    finally:
        client.destroy()
        engine.dispose()


@contextmanager
def _ending_with(task: asyncio.Task[None]) -> Iterator[None]:
    """Cancel the body when `task` fails, and raise what it failed with."""
    body = asyncio.current_task()

    def end_body(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and body is not None:
            body.cancel()

    task.add_done_callback(end_body)
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and not task.cancelled():
            if body is not None:
                body.uncancel()
            task.result()
        raise
    finally:
        task.remove_done_callback(end_body)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a workflow is cancelled here and stays pending: so a symbol leaves a node."""
    return not record.getMessage().startswith("Asyncio task cancelled")


async def _stop(node: Node) -> None:
    # That its workflows stay pending is the purpose of a stop, and DBOS warns of each.
    logging.getLogger("dbos").setLevel(logging.ERROR)
    left = await node.stop()
    log.info("stopped", orders_left_at_the_exchange=left)


async def _destroy_dbos() -> None:
    """End DBOS and give the loop back the thread pool that DBOS had made its own."""
    with ThreadPoolExecutor(1) as thread:
        await asyncio.get_running_loop().run_in_executor(thread, DBOS.destroy)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
