"""Everything durable: the schema, the transactions over it, and the Postgres that holds it."""
