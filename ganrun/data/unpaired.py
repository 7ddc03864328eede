"""Two domains without pairs, for translation (Zhu et al., *CycleGAN*, ICCV 2017, arXiv 1703.10593)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, choose, window_of
from ganrun.data.decode import Crop, Filter, OnCorrupt, Shaping, decode_files, open_image
from ganrun.data.source import Source, open_source

Layout = Literal["auto", "folders", "side_by_side"]
"""``folders``: a folder per domain; ``side_by_side``: both halves of every file; ``auto``: whichever is there."""


Place = str | list[str] | None
"""A directory or a ZIP archive that holds both domains, or two of these: of A and of B."""


class Domain(NamedTuple):
    """Where the images of one of two domains are.

    Args:
        source: of the files.
        names: of the files, in order.
        half: what of each is used; ``None``: the whole.
    """

    source: Source
    names: list[str]
    half: Literal["left", "right"] | None


class Unpaired(Images):
    """Two sets of colour images, from folders ``trainA`` and ``trainB`` or from the halves of side-by-side pairs.

    The domains are sampled independently, also where the files are pairs.

    Args:
        path: directory or ZIP archive of both, or a list of two: of A and of B.
        split: start of the folders' names (``train`` -> ``trainA``, ``trainB``), or the folder of the pairs.
        layout: ``folders``, ``side_by_side`` (left half is A, right half is B), or ``auto`` to find out.
        size: side in pixels; ``None`` keeps the images' own, which must then agree.
        crop: ``center``: the centred square; ``none``: the whole image, stretched to a square if ``size`` is given.
        load_size: side to which images are brought before a random square of ``size`` is cut out of each; ``None``:
            they are brought to ``size``. The paper: 286 and 256.
        filter: resampling filter.
        on_corrupt: ``stop`` at a file that cannot be decoded, or ``skip`` it with a warning.
        subset: a count, a fraction or ``None`` for all, of each domain.
        subset_seed: which samples a subset takes.
        flip: mirror half of the images.

    Raises:
        DataError: the two domains are not there, a file is corrupt or sizes differ.
    """

    provides = ("images", "two_domains")

    def __init__(
        self,
        path: Place,
        split: str,
        layout: Layout,
        size: PositiveInt | None,
        load_size: PositiveInt | None,
        crop: Crop,
        filter: Filter,
        on_corrupt: OnCorrupt,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        window = window_of(size, load_size)
        domains = find_domains(path, split, layout)
        decoded = []
        for source, names, half in domains:
            taken = [names[index] for index in choose(len(names), None, subset, subset_seed)]
            shaping = Shaping(load_size or size, crop, filter, half)
            decoded.append(decode_files(source, taken, None, shaping, on_corrupt, colour=True))
        a, b = (domain.images.shape[1:] for domain in decoded)
        if a != b:
            raise DataError(
                f"The domains of {place_of(domains)} differ in size: A is {a[1]}x{a[0]}, B is {b[1]}x{b[0]}. "
                "Bring them to one size with dataset.size=128 (or another)."
            )
        super().__init__(name_of(domains), decoded, 0, filter if size is not None else "own size", flip, window)


def find_domains(path: Place, split: str, layout: Layout) -> list[Domain]:
    """Where the two domains are.

    Args:
        path: what was named; of two places, all images below the first are A and all below the second B.
        split: start of the folders' names, or the folder of pairs, in a single place.
        layout: of a single place.

    Raises:
        DataError: they are not there.
    """
    if isinstance(path, list):
        if len(path) != 2:
            raise DataError(f"dataset.path is a list of {len(path)}. Name two places, dataset.path=[A,B], or one.")
        sources = [open_source(place) for place in path]
        return [Domain(source, list(source.stamps), None) for source in sources]
    source = open_source(path)
    folders = [_inside(source, split + letter) for letter in "AB"]
    if layout == "folders" or (layout == "auto" and any(folders)):
        for names, letter in zip(folders, "AB", strict=True):
            if not names:
                raise DataError(
                    f"{source.path} has no images in a folder {split}{letter}. Name the domains {split}A and {split}B, "
                    "name both places with dataset.path=[A,B], or set dataset.split or dataset.layout=side_by_side"
                )
        return [Domain(source, names, None) for names in folders]
    pairs = _inside(source, split) or list(source.stamps)
    if layout == "auto" and not _is_pair(source, pairs[0]):
        raise DataError(
            f"{source.path} has neither folders {split}A and {split}B nor pairs twice as wide as high. Arrange it in "
            "one of these ways, name two places with dataset.path=[A,B], or set dataset.layout and dataset.split"
        )
    return [Domain(source, pairs, "left"), Domain(source, pairs, "right")]


def place_of(domains: Sequence[Domain]) -> str:
    """The path, or both, for messages."""
    return " and ".join(dict.fromkeys(str(domain.source.path) for domain in domains))


def name_of(domains: Sequence[Domain]) -> str:
    """The name of the path, or both, for the description."""
    return " and ".join(dict.fromkeys(domain.source.path.stem for domain in domains))


def _inside(source: Source, folder: str) -> list[str]:
    return [name for name in source.stamps if folder in name.split("/")[:-1]]


def _is_pair(source: Source, name: str) -> bool:
    try:
        width, height = open_image(source.read(name)).size
    except Exception as error:
        raise DataError(f"{name} in {source.path} cannot be decoded ({error}). Repair or remove it.") from error
    return width == 2 * height
