"""Pictures from fixed latents, at fixed intervals."""

from __future__ import annotations

from ganrun.engine import distributed
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.engine.trainer import Trainer
from ganrun.sampling.pictures import Pixels, draw, save


class Painter:
    """Helper that draws the game's pictures to TensorBoard and to ``samples/``.

    Args:
        folder: the run folder.
        every_steps: between two sets of pictures; 0: only at the end.
        count: samples in a picture.
        logbook: where pictures are shown; its background writes them.
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
        step = trainer.step
        drawn: dict[str, Pixels] = {}
        distributed.local_work(lambda: drawn.update(self._draw(trainer)))
        self.logbook.background.submit(lambda: self._write(drawn, step))

    def _draw(self, trainer: Trainer) -> dict[str, Pixels]:
        with trainer.sampling("pictures"):
            pictures = trainer.game.pictures(trainer.dataset.examples(self.count), self.count)
        return {name: draw(picture) for name, picture in pictures.items()}

    def _write(self, drawn: dict[str, Pixels], step: int) -> None:
        for name, pixels in drawn.items():
            path = self.folder.samples / f"{name}_{step:08d}.png"
            save(pixels, path)
            self.logbook.show_picture(name, path, step)
