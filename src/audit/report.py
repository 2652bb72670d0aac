"""What an audit found: one result an invariant, and whether all of it may be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: Without anything to look at under these, a clean audit would mean nothing.
REQUIRED = frozenset({"I1", "I2", "I3"})
#: Invariants that need to watch a run, every artefact, or an exchange that always answered.
NOT_CHECKED: Mapping[str, str] = {
    "I5": "limits hold at every instant",
    "I6": "after the kill switch nothing is accepted or open",
    "I9": "a planted secret appears nowhere",
}
_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as it must be."""

    invariant: str
    #: What it is about; the same in every look at the same fault.
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.subject}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Result:
    """One invariant's outcome."""

    name: str
    title: str
    #: How many of each kind of thing were compared.
    checked: Mapping[str, int]
    violations: tuple[Violation, ...]

    @property
    def checked_count(self) -> int:
        return sum(self.checked.values())

    @property
    def is_vacuous(self) -> bool:
        """Whether it had to look at something and found nothing to look at."""
        return self.name in REQUIRED and self.checked_count == 0

    @property
    def ok(self) -> bool:
        return not self.violations and not self.is_vacuous


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    results: tuple[Result, ...]
    #: Last record of the exchange's ledger that was taken into account.
    ledger_seq: int
    #: Looks at both sides until nothing was left that could still heal, or time was up.
    looks: int

    @property
    def ok(self) -> bool:
        return all(result.ok for result in self.results)

    @property
    def violations(self) -> tuple[Violation, ...]:
        return tuple(violation for result in self.results for violation in result.violations)

    @property
    def not_checked(self) -> dict[str, str]:
        """Invariants that it says nothing of, with their titles."""
        checked = {result.name for result in self.results}
        return {name: title for name, title in NOT_CHECKED.items() if name not in checked}

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "ledger_seq": self.ledger_seq,
            "looks": self.looks,
            "invariants": [
                {
                    "name": result.name,
                    "title": result.title,
                    "ok": result.ok,
                    "checked": dict(result.checked),
                    "violations": [asdict(violation) for violation in result.violations],
                }
                for result in self.results
            ],
            "not_checked": self.not_checked,
        }

    def to_text(self) -> str:
        """A few lines for a terminal; long lists of violations are cut."""
        lines = [f"audit {'passed' if self.ok else 'FAILED'} at ledger record {self.ledger_seq}"]
        for result in self.results:
            lines += _lines(result)
        lines += [f"{name} {title}: not checked" for name, title in self.not_checked.items()]
        return "\n".join(lines)


def _lines(result: Result) -> list[str]:
    checked = ", ".join(f"{count} {what}" for what, count in result.checked.items())
    verdict = "ok" if result.ok else f"{len(result.violations)} VIOLATIONS"
    if result.is_vacuous and not result.violations:
        verdict = "NOTHING TO CHECK"
    lines = [f"{result.name} {result.title}: {verdict} ({checked} checked)"]
    lines += [f"  {violation}" for violation in result.violations[:_SHOWN_MAX]]
    if len(result.violations) > _SHOWN_MAX:
        lines.append(f"  … and {len(result.violations) - _SHOWN_MAX} more")
    return lines
