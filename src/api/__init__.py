"""The HTTP API: durable requests in, history and live state out; no trading logic."""
