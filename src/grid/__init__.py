"""The grid as pure functions: (state, event) → plan. No clock, I/O, logging or randomness."""
