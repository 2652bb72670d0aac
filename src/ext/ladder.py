"""The ladder kernels: compiled where they can be, their pure-Python twins otherwise.

``GRIDKEEPER_PURE_PYTHON=1`` forces the twins.
"""

from __future__ import annotations

import os

from ext import _ladder_py
from ext._ladder_py import DENIED, DESIRED, LIVE, PLACEABLE, VACANT, WANTED

__all__ = [
    "COMPILED",
    "DENIED",
    "DESIRED",
    "LIVE",
    "PLACEABLE",
    "VACANT",
    "WANTED",
    "arithmetic_index_below",
    "grant_entries",
    "search_below",
]

arithmetic_index_below = _ladder_py.arithmetic_index_below
search_below = _ladder_py.search_below
grant_entries = _ladder_py.grant_entries
#: Whether the compiled kernels are in use.
COMPILED = False

if os.environ.get("GRIDKEEPER_PURE_PYTHON") != "1":
    try:
        from ext import _ladder
    except ImportError:
        pass
    else:
        arithmetic_index_below = _ladder.arithmetic_index_below
        search_below = _ladder.search_below
        grant_entries = _ladder.grant_entries
        COMPILED = True
