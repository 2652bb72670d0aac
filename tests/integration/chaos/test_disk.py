"""A disk is made full while Postgres goes on writing to it."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.disk import FILL_TRIES_MAX, NoSmallDiskError, SmallDisk
from support.small_disk import mounted

PAGE = bytes(8192)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small"


@pytest.fixture
def disk(path: Path) -> Iterator[SmallDisk]:
    with mounted(path) as disk:
        yield disk


@pytest.fixture
def write_when_measured(monkeypatch: pytest.MonkeyPatch, path: Path) -> Callable[[int], None]:
    """Have somebody write a page right after each of so many measurements."""
    measure, number = os.statvfs, itertools.count(1)

    def write(times: int) -> None:
        def statvfs(measured: Path) -> os.statvfs_result:
            found, this = measure(measured), next(number)
            if this <= times:
                (path / f"page {this}").write_bytes(PAGE)
            return found

        monkeypatch.setattr("chaos.disk.os.statvfs", statvfs)

    return write


def test_disk_that_is_written_to_meanwhile_is_full_in_the_end(
    disk: SmallDisk, path: Path, write_when_measured: Callable[[int], None]
) -> None:
    write_when_measured(FILL_TRIES_MAX - 1)

    disk.fill()

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (path / "more").write_bytes(PAGE)
    disk.empty()
    (path / "more").write_bytes(PAGE)


def test_disk_that_is_written_to_without_end_cannot_be_filled(
    disk: SmallDisk, path: Path, write_when_measured: Callable[[int], None]
) -> None:
    write_when_measured(FILL_TRIES_MAX)

    with pytest.raises(NoSmallDiskError):
        disk.fill()

    assert len(list(path.iterdir())) == FILL_TRIES_MAX
