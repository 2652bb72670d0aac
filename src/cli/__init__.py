"""The command line: no trading logic, one file a noun."""
