"""Comparing runs: what their folders say, the statistics of it, and how it is shown."""
