"""ganrun: train and compare generative adversarial networks from composable configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ganrun.config.trained import Trained

__version__ = "0.1.0"


def load(
    run: str | Path,
    step: Literal["last", "best"] | int = "last",
    weights: Literal["ema", "raw"] = "ema",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Trained:
    """Load a trained run, or a generator that ``ganrun export`` wrote: ``ganrun.load("outputs/...").sample(64)``.

    Args:
        run: the run folder; or the folder or file of an exported generator.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages where the run keeps them, or the weights trained last.
        device: where the networks are put; ``auto``: CUDA where there is one.

    Raises:
        ganrun.core.errors.GanrunError: something that the caller can mend; the message says what.
    """
    from ganrun.config.trained import load  # imports torch

    return load(run, step, weights, device)
