"""What a run did and found: a row a fault, and what was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from chaos.faults import Fault
from chaos.schedule import Injection


@dataclass(slots=True, kw_only=True)
class Strike:
    """One injection, and what came of it."""

    round: int
    injection: Injection
    #: Why it could not be done; empty if it was.
    skipped: str = ""
    #: When it began and was healed, by the clock of the event loop.
    began_s: float | None = None
    healed_s: float | None = None
    #: From the end of the round's last fault until all symbols quoted; `None` if they never did.
    recovery_s: float | None = None
    violations: list[str] = field(default_factory=list)

    def to_document(self) -> dict[str, object]:
        injection = self.injection
        return {
            "round": self.round,
            "fault": injection.fault.name,
            "after_s": injection.after_s,
            "hold_s": injection.hold_s,
            "nodes": list(injection.nodes),
            "symbol": injection.symbol,
            "strength": injection.strength,
            "skipped": self.skipped,
            "recovery_s": self.recovery_s,
            "violations": list(self.violations),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault over the whole run."""

    fault: str
    injected: int
    skipped: int
    violations: int
    recovery_p50_s: float | None
    recovery_max_s: float | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    seed: int
    faults: Sequence[Fault]
    strikes: list[Strike] = field(default_factory=list)
    #: What was wrong at the end, when everything was healed.
    violations: list[str] = field(default_factory=list)
    #: The auditor's last report, as it tells it itself.
    audit: Mapping[str, Any] | None = None

    @property
    def is_vacuous(self) -> bool:
        """Whether nothing was tried."""
        return all(strike.skipped for strike in self.strikes)

    @property
    def ok(self) -> bool:
        return (
            self.audit is not None
            and bool(self.audit["ok"])
            and not self.is_vacuous
            and not self.violations
            and not any(strike.violations for strike in self.strikes)
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(self._row(fault) for fault in self.faults)

    def to_document(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "seed": self.seed,
            "faults": [
                {
                    "fault": row.fault,
                    "injected": row.injected,
                    "skipped": row.skipped,
                    "violations": row.violations,
                    "recovery_p50_s": row.recovery_p50_s,
                    "recovery_max_s": row.recovery_max_s,
                }
                for row in self.rows
            ],
            "strikes": [strike.to_document() for strike in self.strikes],
            "violations": list(self.violations),
            "audit": self.audit,
        }

    def _row(self, fault: Fault) -> Row:
        strikes = [strike for strike in self.strikes if strike.injection.fault == fault]
        done = [strike for strike in strikes if not strike.skipped]
        recoveries = [strike.recovery_s for strike in done if strike.recovery_s is not None]
        return Row(
            fault=fault.name,
            injected=len(done),
            skipped=len(strikes) - len(done),
            violations=sum(len(strike.violations) for strike in strikes),
            recovery_p50_s=round(median(recoveries), 2) if recoveries else None,
            recovery_max_s=round(max(recoveries), 2) if recoveries else None,
        )
