"""The venues that are known, one record each."""

from exchanges.venues.choice import VENUES, require_access, venue_of

__all__ = ["VENUES", "require_access", "venue_of"]
