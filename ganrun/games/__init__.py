"""Games: which networks there are, who minimises what, in which order. One file per game."""
