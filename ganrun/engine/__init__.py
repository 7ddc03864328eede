"""The training engine: it knows moves, players and stages, and no game, network, loss or data set."""
