"""The words of the field as values: instruments, orders, trades, plans, ids and errors."""
