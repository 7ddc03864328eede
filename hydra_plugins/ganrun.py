"""Where Hydra looks for sweepers and launchers. What they do is in :mod:`ganrun.sweep`."""

from ganrun.sweep import launcher, sweeper


class GridSweeper(sweeper.GridSweeper):
    """``hydra/sweeper=grid``."""


class LocalLauncher(launcher.LocalLauncher):
    """``hydra/launcher=local``."""
