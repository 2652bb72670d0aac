"""Fixtures that any test may ask for."""

pytest_plugins = ["support.command_line", "support.postgres"]
