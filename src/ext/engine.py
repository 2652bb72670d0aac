"""The level engine: compiled where it can be, its pure-Python twin otherwise.

``GRIDKEEPER_PURE_PYTHON=1`` forces the twin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ext import _engine_py

__all__ = ["COMPILED", "LevelTable", "QuietBand"]

if TYPE_CHECKING:
    LevelTable = _engine_py.LevelTable
    QuietBand = _engine_py.QuietBand
    COMPILED: bool
elif os.environ.get("GRIDKEEPER_PURE_PYTHON") == "1":
    LevelTable, QuietBand = _engine_py.LevelTable, _engine_py.QuietBand
    COMPILED = False
else:
    try:
        from ext._engine import LevelTable, QuietBand

        #: Whether the compiled engine is in use.
        COMPILED = True
    except ImportError:
        LevelTable, QuietBand = _engine_py.LevelTable, _engine_py.QuietBand
        COMPILED = False
