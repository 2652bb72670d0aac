"""The registry of symbols and the node that runs them: requests, workflows, supervision, wiring."""
