"""Clips as files: GIF, animated PNG or WebP."""

from __future__ import annotations

import io
from pathlib import Path

from torch import Tensor

from ganrun.core.errors import RunError
from ganrun.metrics.base import quantise
from ganrun.sampling.pictures import WIDTH

FORMATS = {".gif": "GIF", ".png": "PNG", ".webp": "WEBP"}
"""Ending of a file -> Pillow's name of its format."""


def check_format(path: Path) -> None:
    """See that a clip can be written to ``path``.

    Raises:
        RunError: another ending.
    """
    if path.suffix.lower() not in FORMATS:
        raise RunError(f"{path} would be no animation. Let its name end in {', '.join(FORMATS)}.")


def encode(clip: Tensor, fps: float, format: str) -> bytes:
    """A clip as the content of a file, played without end; small frames are enlarged by a whole factor.

    Args:
        clip: ``[frames, C, H, W]`` in [-1, 1] with 1 or 3 channels.
        fps: frames per second; a GIF has hundredths of a second.
        format: Pillow's name.
    """
    from PIL import Image

    factor = max(1, round(WIDTH / 2 / clip.shape[3]))
    pixels = quantise(clip).expand(-1, 3, -1, -1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    first, *others = [Image.fromarray(frame) for frame in pixels.permute(0, 2, 3, 1).cpu().numpy()]
    file = io.BytesIO()
    how = {"lossless": True} if format == "WEBP" else {}
    first.save(file, format, save_all=True, append_images=others, duration=1000 / fps, loop=0, **how)
    return file.getvalue()
