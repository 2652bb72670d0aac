"""Fixtures of the orchestrator's tests."""

from support.database import clean_engine, shared_dsn

__all__ = ["clean_engine", "shared_dsn"]
