"""Market data without ccxt: one WebSocket for all symbols, decoded straight into our values."""

from exchanges.native.quotes import NativeQuotes, native_quotes

__all__ = ["NativeQuotes", "native_quotes"]
