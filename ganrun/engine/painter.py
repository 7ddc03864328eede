"""Pictures from fixed latents, at fixed intervals."""

from __future__ import annotations

from ganrun.engine import distributed
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.engine.trainer import Trainer
from ganrun.sampling.pictures import draw, save


class Painter:
    """Helper that draws the game's pictures to TensorBoard and to ``samples/``.

    Args:
        folder: the run folder.
        every_steps: between two sets of pictures; 0: only at the end.
        count: samples in a picture.
        logbook: where pictures are shown.
    """

    def __init__(self, folder: RunFolder, every_steps: int, count: int, logbook: Logbook) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self.count = count
        self.logbook = logbook

    def begin(self, trainer: Trainer) -> None:
        """Draw the untrained networks, for comparison."""
        if trainer.step == 0 and self.every_steps:
            self.paint(trainer)

    def after_step(self, trainer: Trainer) -> None:
        """Draw when it is time."""
        if self.every_steps and trainer.step % self.every_steps == 0:
            self.paint(trainer)

    def finish(self, trainer: Trainer) -> None:
        """Draw the last state."""
        if not self.every_steps or trainer.step % self.every_steps:
            self.paint(trainer)

    def paint(self, trainer: Trainer) -> None:
        """Draw every picture of the game, from the same seed each time."""
        distributed.local_work(lambda: self._paint(trainer))

    def _paint(self, trainer: Trainer) -> None:
        with trainer.sampling("pictures"):
            pictures = trainer.game.pictures(trainer.dataset.examples(self.count), self.count)
        for name, picture in pictures.items():
            pixels = draw(picture)
            save(pixels, self.folder.samples / f"{name}_{trainer.step:08d}.png")
            self.logbook.add_picture(name, pixels, trainer.step)
