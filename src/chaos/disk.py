"""A small file system that can be made full and roomy again; only root can have one."""

from __future__ import annotations

import ctypes
import os
import subprocess  # nosec B404  # lists of arguments, never a shell
from contextlib import suppress
from pathlib import Path

ROOM_BYTES = 1 << 30
FILL_TRIES_MAX = 20
_CLONE_NEWNS = 0x00020000
_WAIT_S = 10


class NoSmallDiskError(OSError):
    """None can be mounted here."""


class SmallDisk:
    """A tmpfs of this process and its children, gone with the last of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mount(self) -> None:
        """Mount it, in a mount namespace of our own.

        Raises
        ------
        NoSmallDiskError
            Without the right to.
        """
        if os.geteuid() != 0:
            raise NoSmallDiskError("only root can mount a file system")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS) != 0:
            raise NoSmallDiskError(os.strerror(ctypes.get_errno()))
        self._path.mkdir(parents=True, exist_ok=True)
        _mount("--make-rprivate", "/")
        _mount("-t", "tmpfs", "-o", f"size={ROOM_BYTES},mode=0711", "chaos", str(self._path))

    def fill(self) -> None:
        """Leave no room beyond what is used, while others may be using more of it.

        Raises
        ------
        NoSmallDiskError
            If more was used every time than had been measured just before.
        """
        for tries_left in reversed(range(FILL_TRIES_MAX)):
            found = os.statvfs(self._path)
            used_bytes = (found.f_blocks - found.f_bfree) * found.f_frsize
            try:
                self._resize(max(used_bytes, found.f_frsize))
            except NoSmallDiskError:
                if not tries_left:
                    raise
            else:
                return

    def empty(self) -> None:
        self._resize(ROOM_BYTES)

    def unmount(self) -> None:
        with suppress(subprocess.SubprocessError, OSError):
            subprocess.run(  # nosec B603, B607  # root's own tool, found as root finds it
                ["umount", "--lazy", self._path], check=True, timeout=_WAIT_S
            )

    def _resize(self, size_bytes: int) -> None:
        _mount("-o", f"remount,size={size_bytes}", str(self._path))


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(  # nosec B603, B607  # root's own tool, found as root finds it
            ["mount", *arguments], check=True, timeout=_WAIT_S, capture_output=True
        )
    except subprocess.CalledProcessError as error:
        raise NoSmallDiskError(error.stderr.decode().strip()) from error
    except (subprocess.SubprocessError, OSError) as error:
        raise NoSmallDiskError(str(error)) from error
