"""One file a noun: its documents and its routes."""
