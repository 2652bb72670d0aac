"""What the shard needs of the world, as Protocols; adapters implement them, nobody here does."""
