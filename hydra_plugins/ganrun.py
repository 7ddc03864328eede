"""Where Hydra looks for sweepers and launchers. What they do is in :mod:`ganrun.sweep`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn

from ganrun.sweep import launcher, search, sweeper


class GridSweeper(sweeper.GridSweeper):
    """``hydra/sweeper=grid``."""


class OptunaSweeper(search.OptunaSweeper):
    """``hydra/sweeper=optuna``."""


class LocalLauncher(launcher.LocalLauncher):
    """``hydra/launcher=local``."""


with contextlib.suppress(ModuleNotFoundError):
    from hydra_plugins.hydra_submitit_launcher import submitit_launcher

    class SubmititLauncher(submitit_launcher.LocalLauncher):
        """``hydra/launcher=slurm_local``: submitit on this machine, which alone would start all jobs at once.

        Args:
            jobs: how many at a time.
            settings: of submitit.
        """

        def __init__(self, jobs: int, **settings: Any) -> None:
            super().__init__(**settings)
            self.jobs = jobs

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Called by the sweeper."""
            ended: list[JobReturn] = []
            for first in range(0, len(job_overrides), self.jobs):
                ended += super().launch(job_overrides[first : first + self.jobs], initial_job_idx + first)
            return ended
