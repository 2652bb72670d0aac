"""A small file system for a test, or none of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.disk import NoSmallDiskError, SmallDisk


@contextmanager
def mounted(path: Path) -> Iterator[SmallDisk]:
    """Skip the test where none can be mounted, as without root's rights."""
    disk = SmallDisk(path)
    try:
        disk.mount()
    except NoSmallDiskError:
        pytest.skip("no small file system can be mounted here")
    try:
        yield disk
    finally:
        disk.unmount()
