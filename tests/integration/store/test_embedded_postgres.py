"""The embedded server against real processes: crashes, strangers' pids, several users."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from domain.errors import ConfigurationError
from store.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from store.postgres_binaries import ServerAccount, installed_programs, programs_for

pytestmark = pytest.mark.timeout(120)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the rule is about root")

#: Starts the server, says so, and stays.
_HOLDER = """
import signal, sys, time
from pathlib import Path
from store.embedded_postgres import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.start()
print("started", flush=True)
time.sleep(100)
"""

#: Commits one row after another and says each number once its commit has returned.
_WRITER = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute("CREATE TABLE committed (number int PRIMARY KEY)")
    for number in range(1_000_000):
        connection.execute("INSERT INTO committed VALUES (%s)", (number,))
        print(number, flush=True)
"""

#: Becomes an ordinary user after everything is imported, then uses the server.
_ORDINARY_USER = """
import os, sys
from pathlib import Path
import psycopg
from store.embedded_postgres import EmbeddedPostgres
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
    with psycopg.connect(postgres.dsn()) as connection:
        print(connection.execute("SELECT current_user").fetchone()[0], flush=True)
"""


@pytest.fixture
def roomy_directory() -> Iterator[Path]:
    """A directory that any account can enter, whose server is stopped at the end."""
    directory = Path(tempfile.mkdtemp(prefix="gridkeeper-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        postgres = EmbeddedPostgres(directory)
        if (postmaster := postgres.postmaster()) is not None:
            os.kill(postmaster.pid, signal.SIGCONT)
        postgres.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A cluster that has been started and stopped once."""
    directory = Path(tempfile.mkdtemp(prefix="gridkeeper-", dir="/tmp"))
    directory.chmod(0o755)
    postgres = EmbeddedPostgres(directory)
    try:
        postgres.start()
        postgres.release()
        yield directory
    finally:
        postgres.stop()
        shutil.rmtree(directory)


@pytest.fixture
def data_dir(roomy_directory: Path, template: Path) -> Path:
    """A data directory with a cluster that is ready to start."""
    subprocess.run(["cp", "-a", template / "postgres", roomy_directory], check=True)
    return roomy_directory


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run a Python script in a session of its own, killed at the end."""
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def eventually(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.02)


def select(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def pid_of(postgres: EmbeddedPostgres) -> int:
    postmaster = postgres.postmaster()
    assert postmaster is not None
    return postmaster.pid


def parent_of(pid: str) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def children_of(postmaster: int) -> list[int]:
    pids = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(pid) for pid in pids if parent_of(pid) == postmaster]


def kill_all_of(postgres: EmbeddedPostgres) -> None:
    postmaster = pid_of(postgres)
    children = children_of(postmaster)
    assert children
    os.kill(postmaster, signal.SIGKILL)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it noticed the death of its parent first


def test_start_in_an_empty_directory_serves_a_durable_utf8_database(roomy_directory: Path) -> None:
    with EmbeddedPostgres(roomy_directory) as postgres:
        settings = dict(select(postgres.dsn(), "SELECT name, setting FROM pg_settings"))
        database = select(
            postgres.dsn(),
            "SELECT datname, datcollate FROM pg_database WHERE datname = current_database()",
        )
    assert database == [("gridkeeper", "C")]
    expected = {
        "fsync": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "server_encoding": "UTF8",
        "password_encryption": "scram-sha-256",
    }
    assert {name: settings[name] for name in expected} == expected
    assert settings["server_version"].startswith("18.")
    assert not postgres.is_running()


def test_start_keeps_its_secrets_private_and_refuses_a_wrong_password(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        for name in ("password", "dsn"):
            assert stat.S_IMODE((data_dir / "postgres" / name).stat().st_mode) == 0o600
        password = urlsplit(postgres.dsn()).password
        assert password is not None
        assert (data_dir / "postgres" / "password").read_text() == password
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.dsn().replace(password, "wrong"))


def test_start_again_adopts_the_same_server_and_keeps_the_port(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        pid, dsn = pid_of(postgres), postgres.dsn()
        assert postgres.start() == dsn
        assert pid_of(postgres) == pid
    with EmbeddedPostgres(data_dir) as postgres:
        assert postgres.dsn() == dsn


def test_start_by_two_at_once_makes_one_server(roomy_directory: Path) -> None:
    users = [EmbeddedPostgres(roomy_directory) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(EmbeddedPostgres.start, users)
    assert first == second
    assert select(first, "SELECT 1") == [(1,)]
    for user in users:
        user.release()
    assert not users[0].is_running()


def test_start_after_an_interrupted_creation_begins_anew(roomy_directory: Path) -> None:
    leftover = roomy_directory / "postgres" / "data.unfinished"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(roomy_directory) as postgres:
        assert select(postgres.dsn(), "SELECT 1") == [(1,)]
    assert not leftover.exists()


def test_release_by_one_of_two_users_leaves_the_server_running(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    first.start()
    second.start()
    first.release()
    assert select(second.dsn(), "SELECT 1") == [(1,)]
    second.release()
    assert not second.is_running()
    assert not (data_dir / "postgres" / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT], ids=lambda death: death.name)
def test_server_survives_the_death_of_its_starter_and_is_adopted(
    data_dir: Path, spawn: Callable[..., subprocess.Popen[str]], death: signal.Signals
) -> None:
    holder = spawn(_HOLDER, data_dir)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "started\n"
    postgres = EmbeddedPostgres(data_dir)
    pid = pid_of(postgres)
    os.killpg(holder.pid, death)  # Ctrl-C signals the terminal's whole process group
    holder.wait(timeout=10)
    with postgres:
        assert pid_of(postgres) == pid
        assert select(postgres.dsn(), "SELECT 1") == [(1,)]
    assert not postgres.is_running()  # the dead one no longer counts as a user


def test_rows_committed_before_kill_9_of_everything_are_there_after_a_start(
    data_dir: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = spawn(_HOLDER, data_dir)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "started\n"
    postgres = EmbeddedPostgres(data_dir)
    writer = spawn(_WRITER, postgres.dsn())
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(100)]
    holder.kill()
    kill_all_of(postgres)
    acknowledged += [int(line) for line in writer.stdout.read().splitlines()]
    with postgres:
        rows = select(postgres.dsn(), "SELECT number FROM committed")
    assert {number for (number,) in rows} >= set(acknowledged)


def test_start_beside_a_surviving_child_of_a_killed_server_is_refused_until_it_ends(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = EmbeddedPostgres(data_dir)
    postgres.start()
    postmaster = pid_of(postgres)
    survivor = children_of(postmaster)[0]
    os.kill(survivor, signal.SIGSTOP)  # so that it cannot notice the death of its parent
    try:
        os.kill(postmaster, signal.SIGKILL)
        eventually(lambda: not postgres.is_running())
        with monkeypatch.context() as patch:
            patch.setattr("store.embedded_postgres._START_TIMEOUT_S", 0.5)
            with pytest.raises(EmbeddedPostgresError, match="an earlier server still hold"):
                postgres.start()
    finally:
        os.kill(survivor, signal.SIGCONT)
    with postgres:
        assert select(postgres.dsn(), "SELECT 1") == [(1,)]


def test_start_with_a_stale_pid_of_a_stranger_leaves_the_stranger_alone(data_dir: Path) -> None:
    pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
    with EmbeddedPostgres(data_dir) as postgres:
        as_written = pid_file.read_text()
        pid = pid_of(postgres)
    account = ServerAccount.of_cluster(data_dir / "postgres" / "data")
    as_root = os.geteuid() == 0
    # Of the server's own account, so that PostgreSQL itself would take it for a live server.
    stranger = subprocess.Popen(
        ["sleep", "100"],
        user=account.uid if as_root else None,
        group=account.gid if as_root else None,
    )
    try:
        pid_file.write_text(as_written.replace(str(pid), str(stranger.pid), 1))
        account.own(pid_file)
        assert not postgres.is_running()
        postgres.stop()
        with postgres:
            assert pid_of(postgres) != stranger.pid
            assert select(postgres.dsn(), "SELECT 1") == [(1,)]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_start_with_the_stale_pid_of_another_cluster_leaves_that_one_alone(
    data_dir: Path, template: Path
) -> None:
    with EmbeddedPostgres(template) as other:
        pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
        shutil.copy(template / "postgres" / "data" / "postmaster.pid", pid_file)
        with EmbeddedPostgres(data_dir) as postgres:
            assert pid_of(postgres) != pid_of(other)
        assert select(other.dsn(), "SELECT 1") == [(1,)]


def test_start_with_its_port_taken_moves_and_publishes_the_new_one(data_dir: Path) -> None:
    taken = urlsplit(EmbeddedPostgres(data_dir).dsn()).port
    assert taken is not None
    with socket.create_server(("127.0.0.1", taken)), EmbeddedPostgres(data_dir) as postgres:
        assert urlsplit(postgres.dsn()).port != taken
        assert select(postgres.dsn(), "SELECT 1") == [(1,)]
        assert (data_dir / "postgres" / "dsn").read_text() == postgres.dsn()


def test_start_with_a_broken_configuration_quotes_the_server_log(data_dir: Path) -> None:
    with (data_dir / "postgres" / "data" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    postgres = EmbeddedPostgres(data_dir)
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        postgres.start()
    assert not postgres.is_running()


def test_dsn_before_any_start_says_so(roomy_directory: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no server was ever started"):
        EmbeddedPostgres(roomy_directory).dsn()


def test_supervise_starts_a_killed_server_again(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        killed = pid_of(postgres)

        async def kill_under_supervision() -> None:
            supervision = asyncio.create_task(postgres.supervise())
            os.kill(killed, signal.SIGKILL)
            await asyncio.to_thread(
                eventually,
                lambda: (found := postgres.postmaster()) is not None and found.pid != killed,
            )
            supervision.cancel()
            await asyncio.gather(supervision, return_exceptions=True)

        asyncio.run(kill_under_supervision())
        eventually(lambda: select(postgres.start(), "SELECT 1") == [(1,)])
    assert not postgres.is_running()


def test_supervise_starts_a_killed_server_again_though_the_loops_own_threads_all_wait(
    data_dir: Path,
) -> None:
    """As when every one of them asks the server that is gone."""
    with EmbeddedPostgres(data_dir) as postgres, ThreadPoolExecutor(1) as own:
        killed = pid_of(postgres)
        answered = threading.Event()

        async def kill_under_supervision() -> None:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(2))
            waiting = [loop.run_in_executor(None, answered.wait) for _ in range(4)]
            supervision = asyncio.create_task(postgres.supervise())
            os.kill(killed, signal.SIGKILL)
            try:
                await loop.run_in_executor(
                    own,
                    eventually,
                    lambda: (found := postgres.postmaster()) is not None and found.pid != killed,
                )
            finally:
                answered.set()
                supervision.cancel()
                await asyncio.gather(supervision, *waiting, return_exceptions=True)

        asyncio.run(kill_under_supervision())
        eventually(lambda: select(postgres.start(), "SELECT 1") == [(1,)])


def test_supervise_reports_a_hung_server_and_lets_it_live(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        hung = pid_of(postgres)

        async def hang_under_supervision() -> None:
            supervision = asyncio.create_task(postgres.supervise())
            os.kill(hung, signal.SIGSTOP)
            await asyncio.to_thread(eventually, lambda: "does not answer" in caplog.text)
            os.kill(hung, signal.SIGCONT)
            await asyncio.to_thread(eventually, lambda: "answers again" in caplog.text)
            supervision.cancel()
            await asyncio.gather(supervision, return_exceptions=True)

        with caplog.at_level(logging.WARNING, "store.embedded_postgres"):
            asyncio.run(hang_under_supervision())
        assert pid_of(postgres) == hung


@needs_root
def test_start_in_a_directory_closed_to_the_account_names_path_rule_and_remedy(
    roomy_directory: Path,
) -> None:
    closed = roomy_directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError) as refusal:
        EmbeddedPostgres(closed / "data").start()
    assert refusal.value.field == "data_dir"
    for words in (str(closed / "data"), "must be reachable for the user", f"chmod a+x {closed}"):
        assert words in str(refusal.value)


@needs_root
def test_programs_closed_to_the_account_are_copied_and_run(roomy_directory: Path) -> None:
    closed = roomy_directory / "closed"
    closed.mkdir(mode=0o700)
    package = installed_programs().parent.parent
    for directory in (package / "pginstall18", package.with_name(f"{package.name}.libs")):
        below = directory.relative_to(package.parent)
        shutil.copytree(directory, closed / below, ignore=shutil.ignore_patterns("include"))
    account = ServerAccount.of_cluster(roomy_directory / "absent")
    installed = closed / package.name / "pginstall18" / "bin"
    assert not account.executes(installed / "initdb")

    copied = programs_for(account, installed, roomy_directory)

    assert closed not in copied.parents
    assert account.executes(copied / "initdb")
    assert account.executes(copied / "psql")
    assert programs_for(account, installed, roomy_directory) == copied


@needs_root
def test_start_by_an_ordinary_user_and_then_by_root_uses_that_users_account(
    roomy_directory: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    nobody = ServerAccount("nobody", uid=65534, gid=65534)
    nobody.own(roomy_directory)
    ordinary = spawn(_ORDINARY_USER, roomy_directory, nobody.uid, nobody.gid)
    answer, _ = ordinary.communicate(timeout=60)
    assert (answer, ordinary.returncode) == ("gridkeeper\n", 0)
    with EmbeddedPostgres(roomy_directory) as postgres:
        assert Path(f"/proc/{pid_of(postgres)}").stat().st_uid == nobody.uid
        assert select(postgres.dsn(), "SELECT 1") == [(1,)]
