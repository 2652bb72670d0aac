"""Rebuilds a lost database from what the exchange tells."""

from orchestrator.restore.judge import Wanted, judge
from orchestrator.restore.judgement import Restoration, SymbolRestoration
from orchestrator.restore.record import record
from orchestrator.restore.survey import AccountSurvey, refuse_alive, survey_account

__all__ = [
    "AccountSurvey",
    "Restoration",
    "SymbolRestoration",
    "Wanted",
    "judge",
    "record",
    "refuse_alive",
    "survey_account",
]
