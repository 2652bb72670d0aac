"""One shard: its mailbox, its decisions, their durable execution and the reconciliation behind."""
