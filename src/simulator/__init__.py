"""A Binance-compatible spot exchange in a process of its own, with its own ledger and faults."""
