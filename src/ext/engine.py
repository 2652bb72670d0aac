"""The level engine: compiled where it can be, its pure-Python twin otherwise.

``GRIDKEEPER_PURE_PYTHON=1`` forces the twin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__all__ = ["COMPILED", "LevelTable", "Lull", "QuietBand", "TickScale", "is_sound"]

if TYPE_CHECKING:
    from ext._engine_py import LevelTable, Lull, QuietBand, TickScale, is_sound

    COMPILED: bool
elif os.environ.get("GRIDKEEPER_PURE_PYTHON") == "1":
    from ext._engine_py import LevelTable, Lull, QuietBand, TickScale, is_sound

    COMPILED = False
else:
    try:
        from ext._engine import LevelTable, Lull, QuietBand, TickScale, is_sound

        #: Whether the compiled engine is in use.
        COMPILED = True
    except ImportError:
        from ext._engine_py import LevelTable, Lull, QuietBand, TickScale, is_sound

        COMPILED = False
