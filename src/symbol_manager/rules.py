"""What the venue's new trading rules mean for a shard that trades under older ones. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.errors import ConfigurationError
from domain.instrument import Instrument, changed_rules
from symbol_manager.state import ShardState


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChange:
    """Rules that differ from those in force."""

    #: To be committed as the next version.
    instrument: Instrument
    #: Each rule that changed, as people read it.
    what: str
    #: Ticks or lots mean something else: no order may rest across the change.
    must_cancel: bool
    #: Why the grid cannot be built under them; empty if it can.
    obstacle: str

    @property
    def reason(self) -> str:
        """Why orders must go; empty where those that rest fit the new rules as well."""
        if not self.must_cancel:
            return ""
        return ": ".join(filter(None, ("trading rules changed", self.what, self.obstacle)))


def rules_change(state: ShardState, published: Instrument | None) -> RulesChange | None:
    """What to do about the rules a venue shows; `None` where they are those in force."""
    if published is None:
        return None
    in_force = state.claim.instrument
    # The version is the store's to give, and what is stored is counted in the present units.
    instrument = replace(
        published,
        version=in_force.version,
        base_decimals=in_force.base_decimals,
        quote_decimals=in_force.quote_decimals,
    )
    what = changed_rules(in_force, instrument)
    if not what:
        return None
    obstacle = ""
    try:
        state.grid_under(instrument)
    except ConfigurationError as error:
        obstacle = str(error)
    return RulesChange(
        instrument=instrument,
        what=what,
        must_cancel=not instrument.has_steps_of(in_force),
        obstacle=obstacle,
    )
