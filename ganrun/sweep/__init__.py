"""Sweeps: which runs there are, where each lies, how each fares, and who trains them."""
