"""Decides from the exchange's own ledger whether what Postgres says is true.

It imports nothing of the rest of the project and shares no code with reconciliation.
"""

from audit.auditor import audit
from audit.report import Report, Result, Violation
from audit.simulator import SimulatorAccess

__all__ = ["Report", "Result", "SimulatorAccess", "Violation", "audit"]
