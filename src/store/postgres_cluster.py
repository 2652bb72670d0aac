"""What the embedded server keeps on disk: its cluster, password, DSN and log."""

from __future__ import annotations

import logging
import os
import random
import secrets
import shutil
import socket
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from domain.errors import ConfigurationError
from store.postgres_binaries import EmbeddedPostgresError, ServerAccount

_LOG = logging.getLogger("store.embedded_postgres")

_NAME = "gridkeeper"
HOST = "127.0.0.1"
#: Below the usual ephemeral range: there, an outgoing connection could sit on our port while the
#: server is down, even a client of ours that reconnects and meets itself.
_PORTS = range(20_000, 32_000)
_INITDB_TIMEOUT_S = 120.0
_LOG_TAIL_LINES = 15

#: Written into postgresql.conf once, where an operator may tune them.
_INITIAL_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "128MB",
    # An auditor can see when a decision was committed, not only when it was made.
    "track_commit_timestamp": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgres-%a.log",  # a week of files, each overwritten a week later
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
}


class Postmaster(NamedTuple):
    """The server process of a cluster."""

    pid: int
    port: int


class PostgresCluster:
    """The files below `home`: `data` belongs to the server's account, secrets are mode 0600."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.start_log = home / "log" / "start.log"
        self._log = home / "log"
        self._dsn = home / "dsn"
        self._password = home / "password"

    def make_home(self) -> None:
        """Make the home, which the server's account must pass under any umask of ours."""
        try:
            if not self.home.exists():
                self.home.mkdir(parents=True, exist_ok=True)
                self.home.chmod(0o711)
            writable = os.access(self.home, os.W_OK | os.X_OK)
        except PermissionError:
            writable = False
        if not writable:
            raise ConfigurationError(
                field="data_dir",
                rule=f"must be writable for the user with id {os.geteuid()}",
                value=self.home.parent,
                remedy="run as the user who owns it, or choose another data directory",
            )

    def require_reach(self, account: ServerAccount) -> None:
        """Refuse a home that the server's account cannot traverse, naming the first closed door."""
        if account.enters(self.home):
            return
        way = (*reversed(self.home.parents), self.home)
        closed = next((path for path in way if not account.enters(path)), self.home)
        raise ConfigurationError(
            field="data_dir",
            rule=f"must be reachable for the user {account.name}, as whom root runs PostgreSQL",
            value=f"{self.home.parent} (closed at {closed})",
            remedy=f"choose another data directory, `chmod a+x {closed}`, or run as another user",
        )

    def create(self, account: ServerAccount, programs: Path, server_lock: int) -> None:
        """Make the cluster and its database aside and move them into place whole.

        The programs inherit `server_lock`, so that nobody else begins while they outlive us.
        """
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if not self._password.exists():
            _write_private(self._password, secrets.token_urlsafe(32))
        for directory in (unfinished, self._log):
            directory.mkdir(mode=0o700, exist_ok=True)
        for path in (unfinished, self._log, self._password):
            account.own(path)

        def run(program: str, *arguments: str | Path, stdin: str = "") -> None:
            finished = account.run(
                programs / program,
                *arguments,
                stdin=stdin,
                timeout_s=_INITDB_TIMEOUT_S,
                pass_fds=[server_lock],
            )
            if finished.returncode != 0:
                raise EmbeddedPostgresError(
                    f"{program} ended with {finished.returncode}", log_tail=finished.stderr
                )

        run(
            "initdb",
            *("-D", unfinished, "-U", _NAME, f"--pwfile={self._password}"),
            *("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
            *(f"--set={name}={value}" for name, value in _INITIAL_SETTINGS.items()),
        )
        create_database = f"CREATE DATABASE {_NAME}\n"
        run("postgres", "--single", "-j", "-D", unfinished, "postgres", stdin=create_database)
        unfinished.rename(self.data)

    def postmaster(self) -> Postmaster | None:
        """The live server process, or None.

        A `postmaster.pid` left behind by a crash may name a process that has nothing to do with us.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            found = Postmaster(pid=int(lines[0]), port=int(lines[3]))
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return found if _serves(found.pid, self.data) else None

    def dsn(self) -> str:
        try:
            return self._dsn.read_text()
        except FileNotFoundError as error:
            raise EmbeddedPostgresError(f"no server was ever started in {self.home}") from error

    def publish(self, port: int) -> None:
        """Write the DSN where other processes find it."""
        dsn = f"postgresql://{_NAME}:{self._password.read_text()}@{HOST}:{port}/{_NAME}"
        if not self._dsn.exists() or self._dsn.read_text() != dsn:
            _write_private(self._dsn, dsn)

    def choose_port(self) -> int:
        """The port of the last start, or another if somebody else has it now."""
        kept = urlsplit(self._dsn.read_text()).port if self._dsn.exists() else None
        if kept is not None and _is_free(kept):
            return kept
        chosen = next(filter(_is_free, random.sample(_PORTS, k=100)), None)  # nosec B311
        if chosen is None:
            raise EmbeddedPostgresError(f"no free port found between {_PORTS[0]} and {_PORTS[-1]}")
        if kept is not None:
            _LOG.warning("port %d is taken by another process; moving to port %d", kept, chosen)
        return chosen

    def log_tail(self) -> str:
        files = sorted(self._log.glob("*.log"), key=lambda path: path.stat().st_mtime)
        lines = files[-1].read_text(errors="replace").splitlines() if files else []
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def _serves(pid: int, data: Path) -> bool:
    """Whether `pid` is the server process of `data`; a server's children have other names."""
    process = Path("/proc") / str(pid)
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        if Path(os.fsdecode(arguments[0])).name != "postgres":
            return False
        return (process / "cwd").samefile(data)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # root inside a container may not look at other users' processes
        return os.fsencode(data) in arguments


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Write a secret that is whole or absent after a crash."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    # Written by root in another user's directory, it stays that user's.
    os.chown(unfinished, path.parent.stat().st_uid, -1)
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
