"""The one gate between a plan and the exchange; pure."""
