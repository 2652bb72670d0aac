"""Adapters of the exchange port: unmodified ccxt behind it, errors and numbers made ours."""
