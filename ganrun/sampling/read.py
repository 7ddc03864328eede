"""Images that any program made, read from files to be scored."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.data.base import normalise
from ganrun.data.cache import Decoded
from ganrun.data.decode import Shaping, decode_files
from ganrun.data.source import Source, open_source

SEED = 0  # of the order, so that the first images are of all kinds even where the files are sorted


class ImageFiles:
    """Images of a directory or a ZIP archive, handed out once each in a fixed random order, exactly as they are.

    Where they lie in as many folders beside each other as the data have classes, a folder is a class, in alphabetical
    order. Colour files whose channels are equal stand for grey images where the data are grey.

    Args:
        path: the directory or archive.
        facts: of the data that they will be compared with.

    Raises:
        DataError: nothing is there, a file is corrupt, or the images differ from the data's in size or channels.
    """

    def __init__(self, path: str, facts: Facts) -> None:
        source = open_source(path, "generated")
        names = list(source.stamps)
        decoded = _decode(source, names, colour=facts.channels == 3)
        self.images = torch.from_numpy(decoded.images)
        if facts.channels == 1 and self.images.shape[3] == 3:
            self.images = _grey(self.images, path)
        count, height, width, channels = self.images.shape
        if (channels, height, width) != facts.shape:
            raise DataError(
                f"The images in {path} are {channels}x{height}x{width}, the data's {'x'.join(map(str, facts.shape))}. "
                f"Bring the data to their size, if the data set can, with dataset.size={height}; nothing is resized "
                "here, for that would change the scores."
            )
        self.labels = _class_of(names, facts.classes)
        self.order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
        self.done = 0

    def __len__(self) -> int:
        return len(self.images)

    def take(self, count: int, device: torch.device) -> Tensor | tuple[Tensor, Tensor]:
        """The next ``count`` images, ``[count, C, H, W]`` in [-1, 1], with their labels if they have any."""
        chosen = self.order[self.done : self.done + count]
        self.done += count
        images = normalise(self.images[chosen].to(device))
        return images if self.labels is None else (images, self.labels[chosen])


def _decode(source: Source, names: Sequence[str], colour: bool) -> Decoded:
    try:
        return decode_files(source, names, None, Shaping(None, "none", "bicubic"), "stop", colour)
    except DataError as error:
        cause, _, remedy = str(error).rpartition(". ")
        if "dataset." not in remedy:
            raise
        raise DataError(f"{cause}. Repair or remove such files: all in {source.path} are scored.") from None


def _grey(images: Tensor, path: str) -> Tensor:
    if not all(torch.equal(part, part[..., :1].expand_as(part)) for part in images.split(1000)):
        raise DataError(f"The images in {path} have colours, and the data are grey. Save them in grey.")
    return images[..., :1]


def _class_of(names: Sequence[str], classes: int) -> Tensor | None:
    folders = [name.rpartition("/")[0] for name in names]
    known = sorted(set(folders))
    if classes < 2 or len(known) != classes:
        return None
    number = {name: index for index, name in enumerate(known)}
    return torch.tensor([number[folder] for folder in folders])
