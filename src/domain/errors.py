"""Every error the product raises, split by how the catcher reacts.

::

    GridkeeperError
    ├── ConfigurationError     refuse before any effect; the text names the remedy
    ├── RequestRefused         a request that is well formed but must not be done
    ├── RequestGivenUp         a request that ended with its process again and again
    ├── OwnershipLost          this process no longer owns the shard: stop, send nothing
    ├── KillSwitchEngaged      nothing may be placed: plan again, with cancels only
    ├── InvariantViolation     halt the symbol
    ├── DatabaseRolledBack     halt the symbol, send nothing, until the database is rebuilt
    ├── StoreUnavailable       forget what is in memory, and load again when it answers
    │   └── StoreFull              the same; it may still do what needs no room
    └── VenueError
        ├── TransientVenueError    retry later; ``retry_after_s`` where the venue said so
        ├── OutcomeUnknown         look the order up; never resend blindly
        ├── OrderRejected          the venue said no; do not retry as it stands
        ├── OrderNotFound          the venue knows no such order now
        └── AuthenticationRefused  halt the account
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


class GridkeeperError(Exception):
    """Root of the tree."""


class ConfigurationError(GridkeeperError):
    """A setting that breaks a rule, with what would satisfy it."""

    def __init__(self, *, field: str, rule: str, value: object, remedy: str) -> None:
        super().__init__(f"`{field}` {rule}, was {value}; {remedy}")
        self.field = field
        self.rule = rule
        self.value = str(value)
        self.remedy = remedy

    def __reduce__(self) -> tuple[Callable[[], ConfigurationError], tuple[()]]:
        """Pickled by its parts, since a message alone does not make it."""
        parts = {"field": self.field, "rule": self.rule, "remedy": self.remedy}
        return partial(type(self), value=self.value, **parts), ()


class RequestRefused(GridkeeperError):
    """A well-formed request that the present state forbids."""


class RequestGivenUp(GridkeeperError):
    """A request whose every start ended with its process; it is not tried again."""


class OwnershipLost(GridkeeperError):
    """The lease ran out or a newer epoch owns the shard."""


class KillSwitchEngaged(GridkeeperError):
    """An operator stopped all trading."""


class InvariantViolation(GridkeeperError):
    """Something that must never be true about money or orders is true."""


class DatabaseRolledBack(GridkeeperError):
    """The exchange shows orders of this installation that its database never made."""


class StoreUnavailable(GridkeeperError):
    """Postgres did not answer; whether the last transaction committed is not known."""


class StoreFull(StoreUnavailable):
    """Postgres has no room for what was to be written."""


class VenueError(GridkeeperError):
    """The exchange, or the way to it, answered with an error."""


class TransientVenueError(VenueError):
    """Nothing happened at the venue and the same call may succeed later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(VenueError):
    """The request may or may not have reached the venue."""


class OrderRejected(VenueError):
    """The venue refused the order; it rests nowhere."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        #: ``would_cross``, ``insufficient_funds``, ``reduce_only``, ``filter``, ``duplicate`` or
        #: ``other``
        self.reason = reason


class OrderNotFound(VenueError):
    """The venue knows no order by that id now; it proves absence only after the grace."""


class AuthenticationRefused(VenueError):
    """The key is wrong, expired or not allowed from here."""
