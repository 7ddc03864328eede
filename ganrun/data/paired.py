"""Pairs of images of one scene (Isola et al., *Image-to-Image Translation with Conditional ...*, CVPR 2017)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, choose, window_of
from ganrun.data.decode import Crop, Filter, Shaping, decode_files
from ganrun.data.source import open_source
from ganrun.data.unpaired import Layout, find_domains


class Paired(Images):
    """Colour images A and B of the same scenes: one is to be made, the other, its source, is the condition.

    They lie side by side in one file (A on the left), or as files of one name in folders ``trainA`` and ``trainB``.
    What is cut out or mirrored is so in both.

    Args:
        path: directory or ZIP archive.
        split: start of the folders' names (``train`` -> ``trainA``, ``trainB``), or the folder of the pairs.
        layout: where A and B are.
        direction: from the source to what is to be made.
        size: side in pixels; ``None`` keeps the images' own, which must then agree.
        load_size: side to which images are brought before a random square of ``size`` is cut out of each pair;
            ``None``: they are brought to ``size``. The paper: 286 and 256.
        crop: ``center``: the centred square; ``none``: the whole image, stretched to a square if ``size`` is given.
        filter: resampling filter.
        subset: a count, a fraction or ``None`` for all.
        subset_seed: which pairs a subset takes.
        flip: mirror half of the pairs.

    Raises:
        DataError: no pairs are there, a partner is missing, a file is corrupt or sizes differ.
    """

    provides = ("images", "aligned")

    def __init__(
        self,
        path: str | None,
        split: str,
        layout: Layout,
        direction: Literal["a_to_b", "b_to_a"],
        size: PositiveInt | None,
        load_size: PositiveInt | None,
        crop: Crop,
        filter: Filter,
        subset: int | float | None,
        subset_seed: NonNegativeInt,
        flip: bool,
    ) -> None:
        window = window_of(size, load_size)
        source = open_source(path)
        (a, half_a), (b, half_b) = find_domains(source, split, layout)
        pairs = list(zip(a, b, strict=True)) if half_a else partners(a, b)
        taken = [pairs[index] for index in choose(len(pairs), None, subset, subset_seed)]
        decoded = [
            decode_files(source, names, None, Shaping(load_size or size, crop, filter, half), "stop", colour=True)
            for names, half in (([a for a, _ in taken], half_a), ([b for _, b in taken], half_b))
        ]
        sides_a, sides_b = (images.images.shape[1:3] for images in decoded)
        if sides_a != sides_b:
            raise DataError(
                f"The partners in {source.path} differ in size: A is {sides_a[1]}x{sides_a[0]}, B is "
                f"{sides_b[1]}x{sides_b[0]}. Bring them to one size with dataset.size=256 (or another)."
            )
        aligned, target = decoded if direction == "a_to_b" else reversed(decoded)
        resampling = filter if size is not None else "own size"
        condition = {"condition": "images", "condition_size": aligned.images.shape[3]}
        super().__init__(source.path.stem, [target], 0, resampling, flip, window, aligned, condition)


def partners(a: list[str], b: list[str]) -> list[tuple[str, str]]:
    """Files of the same name, apart from their ending, in two folders.

    Raises:
        DataError: one has no partner, or two.
    """
    by_stem: list[dict[str, str]] = []
    for names in (a, b):
        stems = {PurePosixPath(name).stem: name for name in names}
        if len(stems) < len(names):
            kept = set(stems.values())
            twice = next(name for name in names if name not in kept)
            raise DataError(f"{twice} has a namesake in its folder, so its partner is unclear. Rename one of them.")
        by_stem.append(stems)
    for stems, others in (by_stem, by_stem[::-1]):
        alone = sorted(name for stem, name in stems.items() if stem not in others)
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            folder = PurePosixPath(next(iter(others.values()))).parent
            raise DataError(
                f"{alone[0]}{more} has no partner in {folder}: partners have the same name, apart from the ending. "
                "Add or remove files."
            )
    return [(name, by_stem[1][stem]) for stem, name in by_stem[0].items()]
