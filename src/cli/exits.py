"""The exit codes, as documented; scripts rely on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    #: A check failed, or a request did; the output says which.
    FAILED = 1
    #: Wrong usage or an invalid setting: nothing was done.
    INVALID = 2
    DATABASE_UNAVAILABLE = 3
    #: The request was understood and must not be done.
    REFUSED = 4
    #: The request is kept and not finished yet.
    PENDING = 5
    EXCHANGE_UNAVAILABLE = 6
    #: Another node owns this one's work: start it again, as `EX_TEMPFAIL` says.
    FENCED = 75
