"""Where Hydra looks for sweepers and launchers. What they do is in :mod:`ganrun.sweep`."""

from ganrun.sweep import launcher, search, sweeper


class GridSweeper(sweeper.GridSweeper):
    """``hydra/sweeper=grid``."""


class OptunaSweeper(search.OptunaSweeper):
    """``hydra/sweeper=optuna``."""


class LocalLauncher(launcher.LocalLauncher):
    """``hydra/launcher=local``."""
