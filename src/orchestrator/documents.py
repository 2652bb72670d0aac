"""What the steps of a change hand on: JSON that a person can read, with exact numbers as text."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

from domain.instrument import Instrument, MarketKind
from grid.check import SpecReport
from orchestrator.workflows import Document


def refused(reason: str) -> Document:
    return {"outcome": "refused", "reason": reason}


def report_document(report: SpecReport) -> Document:
    return {name: str(value) for name, value in asdict(report).items()}


def instrument_document(instrument: Instrument) -> Document:
    return {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in asdict(instrument).items()
    }


def instrument_of(document: Document) -> Instrument:
    exact = ("tick_size", "lot_size", "min_notional", "maker_fee", "taker_fee")
    values = document | {name: Decimal(document[name]) for name in exact}
    return Instrument(**values | {"kind": MarketKind(document["kind"])})
