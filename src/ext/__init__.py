"""Kernels on int64, each with a pure-Python twin of the same signature."""
