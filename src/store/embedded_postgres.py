"""A PostgreSQL server of our own, below the data directory, shared by every process that uses it.

Three advisory locks order everything; the kernel drops them when their holders die:

- `start.lock`: held while a process starts or stops the server.
- `users.lock`: shared by every process that uses the server; the last one to leave stops it.
- `server.lock`: inherited by the server and all its children, so that taking it proves that no
  process of an earlier server is left.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from domain.errors import GridkeeperError
from store.postgres_binaries import (
    EmbeddedPostgresError,
    ServerAccount,
    installed_programs,
    programs_for,
)
from store.postgres_cluster import HOST, PostgresCluster, Postmaster

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "Postmaster"]

_LOG = logging.getLogger(__name__)

#: Bounds a whole start, crash recovery included. A server that recovers longer goes on doing so
#: and is adopted by the next start.
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
#: Another may take the port, or the last shared memory be let go, between our look and the start.
_LAUNCHES_MAX = 3
_POLL_S = 0.05
_ANSWER_TIMEOUT_S = 2
_SUPERVISION_PERIOD_S = 1.0
_BACKOFF_MAX_S = 30.0


class EmbeddedPostgres:
    """One process' use of the server below `data_dir`; also a context manager."""

    def __init__(self, data_dir: Path) -> None:
        self._cluster = PostgresCluster(data_dir.resolve() / "postgres")
        self._users_lock: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    def start(self) -> str:
        """Use the server, starting it unless it runs already, and return its DSN.

        Raises
        ------
        ConfigurationError
            The data directory, the account or the installed programs cannot serve.
        EmbeddedPostgresError
            The server does not answer within its time.
        """
        self._cluster.make_home()
        with self._start_lock():
            if self._users_lock is None:
                self._users_lock = self._try_lock("users.lock", fcntl.LOCK_SH)
                if self._users_lock is None:  # only a release takes it, under our start lock
                    raise EmbeddedPostgresError("somebody else locks the users of the server out")
            try:
                self._bring_up()
            except BaseException:  # nothing is held after a failed start; then raised
                self._leave()
                raise
        return self.dsn()

    def release(self) -> None:
        """End this process' use of the server; the last user stops it."""
        if self._users_lock is None:
            return
        with self._start_lock():
            self._leave()
            alone = self._try_lock("users.lock", fcntl.LOCK_EX)
            if alone is not None:
                os.close(alone)
                self._shut_down()

    def stop(self) -> None:
        """Stop the server whoever else uses it."""
        if self._cluster.home.exists():
            with self._start_lock():
                self._leave()
                self._shut_down()

    def dsn(self) -> str:
        """The address of the `gridkeeper` database, its password included."""
        return self._cluster.dsn()

    def is_running(self) -> bool:
        """Whether the server process lives; it may still be recovering, or hang."""
        return self.postmaster() is not None

    def postmaster(self) -> Postmaster | None:
        return self._cluster.postmaster()

    def binary(self, name: str) -> Path:
        """The path of a PostgreSQL program such as `psql` or `pg_dump`, for our own use."""
        return installed_programs() / name

    async def supervise(self) -> None:
        """Start the server again whenever it dies, until cancelled; a hung one is only reported."""
        loop = asyncio.get_running_loop()
        # The loop's own pool may be full of work that waits for this very server.
        thread = ThreadPoolExecutor(1, "postgres supervisor")
        try:
            await self._supervise(partial(loop.run_in_executor, thread))
        finally:
            thread.shutdown(wait=False)

    async def _supervise(self, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        answered = True
        backoff_s = _SUPERVISION_PERIOD_S
        while True:
            await asyncio.sleep(_SUPERVISION_PERIOD_S)
            answers = await in_thread(self._answers)
            if answers:
                backoff_s = _SUPERVISION_PERIOD_S
                if not answered:
                    _LOG.warning("the server answers again: %s", self.postmaster())
            elif not self.is_running():
                _LOG.error("the server has died; starting it again")
                try:
                    await in_thread(self._restart)
                except (GridkeeperError, OSError) as error:
                    _LOG.error("the server did not start, next try in %g s: %s", backoff_s, error)
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, _BACKOFF_MAX_S)
            elif answered:
                _LOG.error("the server lives but does not answer: %s", self.postmaster())
            answered = answers

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        # Whoever holds it may need the whole time of a start, and of a second one waiting before.
        deadline_s = time.monotonic() + 2 * _START_TIMEOUT_S
        while (lock := self._try_lock("start.lock", fcntl.LOCK_EX)) is None:
            if time.monotonic() > deadline_s:
                raise EmbeddedPostgresError(
                    f"another process keeps {self._cluster.home}/start.lock"
                )
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            os.close(lock)

    def _try_lock(self, name: str, kind: int) -> int | None:
        """A file descriptor that holds the lock, or None if another process is in the way."""
        lock = os.open(self._cluster.home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _leave(self) -> None:
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def _restart(self) -> None:
        with self._start_lock():
            # A release may have come first; nobody would stop what we start then.
            if self._users_lock is not None:
                self._bring_up()

    def _bring_up(self) -> None:
        launches = 0
        complaint = ""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while True:
            overdue = time.monotonic() > deadline_s  # read first: a launch earns one more look
            if (postmaster := self.postmaster()) is not None:
                self._cluster.publish(postmaster.port)
                if self._answers():
                    return
            elif overdue or launches == _LAUNCHES_MAX:
                break
            elif (server_lock := self._try_lock("server.lock", fcntl.LOCK_EX)) is not None:
                launches += 1
                try:
                    complaint = self._launch(server_lock)
                finally:
                    os.close(server_lock)
            if overdue:
                break
            time.sleep(_POLL_S)
        if launches == 0 and not self.is_running():
            raise EmbeddedPostgresError(
                f"processes of an earlier server still hold {self._cluster.home}/server.lock"
            )
        raise EmbeddedPostgresError(
            f"the server in {self._cluster.home} does not answer after {launches} starts",
            log_tail=self._cluster.log_tail() or complaint,
        )

    def _launch(self, server_lock: int) -> str:
        """Start the server process; the answer is what `pg_ctl` has to complain."""
        cluster = self._cluster
        account = ServerAccount.of_cluster(cluster.data)
        cluster.require_reach(account)
        programs = programs_for(account, installed_programs(), cluster.home)
        if not cluster.data.exists():
            cluster.create(account, programs, server_lock)
        # We hold the server's lock and no server process lives: the file is stale.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)
        cluster.start_log.unlink(missing_ok=True)
        port = cluster.choose_port()
        finished = account.run(
            programs / "pg_ctl",
            *("start", "-s", "-w", "-t", f"{_START_TIMEOUT_S:.0f}"),
            *("-D", cluster.data, "-l", cluster.start_log),
            *("-o", f"-p {port} -c listen_addresses={HOST} -c unix_socket_directories="),
            timeout_s=2 * _START_TIMEOUT_S,
            pass_fds=[server_lock],
        )
        return finished.stderr

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn(), connect_timeout=_ANSWER_TIMEOUT_S) as connection:
                connection.execute("SELECT 1")
        except (psycopg.Error, EmbeddedPostgresError):
            return False
        return True

    def _shut_down(self) -> None:
        if not self.is_running():
            return
        account = ServerAccount.of_cluster(self._cluster.data)
        programs = programs_for(account, installed_programs(), self._cluster.home)
        finished = account.run(
            programs / "pg_ctl",
            *("stop", "-s", "-w", "-t", f"{_STOP_TIMEOUT_S:.0f}", "-m", "fast"),
            *("-D", self._cluster.data),
            timeout_s=2 * _STOP_TIMEOUT_S,
        )
        if finished.returncode != 0 and self.is_running():
            raise EmbeddedPostgresError(
                "the server does not stop", log_tail=self._cluster.log_tail()
            )
