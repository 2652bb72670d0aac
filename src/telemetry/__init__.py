"""What the process says about itself: logs, metrics, and the instants tests may kill it at."""
