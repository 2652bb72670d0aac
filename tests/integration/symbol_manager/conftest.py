"""Fixtures of the shard's tests."""

from support.database import clean_engine, shared_dsn

__all__ = ["clean_engine", "shared_dsn"]
