"""Pairs of images of one scene (Isola et al., *Image-to-Image Translation with Conditional ...*, CVPR 2017)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.errors import DataError
from ganrun.data.base import Images, choose, window_of
from ganrun.data.cache import Decoded
from ganrun.data.decode import Crop, Filter, Shaping, decode_files
from ganrun.data.unpaired import Domain, Layout, Place, find_domains, name_of, place_of


class Paired(Images):
    """Colour images A and B of the same scenes: one is to be made, the other, its source, is the condition.

    They lie side by side in one file (A on the left), or as files of one name in folders ``trainA`` and ``trainB``, or
    in two places. What is cut out or mirrored is so in both.

    Args:
        path: directory or ZIP archive of both, or a list of two: of A and of B.
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
        path: Place,
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
        pairs = find_pairs(path, split, layout, subset, subset_seed)
        decoded = [
            decode_files(source, names, None, Shaping(load_size or size, crop, filter, half), "stop", colour=True)
            for source, names, half in pairs
        ]
        check_sides(pairs, decoded)
        aligned, target = decoded if direction == "a_to_b" else reversed(decoded)
        resampling = filter if size is not None else "own size"
        condition = {"condition": "images", "condition_size": aligned.images.shape[3]}
        super().__init__(name_of(pairs), [target], 0, resampling, flip, window, aligned, condition)


def find_pairs(path: Place, split: str, layout: Layout, subset: int | float | None, subset_seed: int) -> list[Domain]:
    """A and B with as many names, of which the i-th belong together.

    Raises:
        DataError: no pairs are there, or a partner is missing.
    """
    a, b = find_domains(path, split, layout)
    pairs = list(zip(a.names, b.names, strict=True)) if a.half else partners(a, b)
    taken = [pairs[index] for index in choose(len(pairs), None, subset, subset_seed)]
    return [a._replace(names=[name for name, _ in taken]), b._replace(names=[name for _, name in taken])]


def check_sides(pairs: list[Domain], decoded: list[Decoded]) -> None:
    """Refuse partners of two sizes.

    Raises:
        DataError: that is what they are.
    """
    a, b = (images.images.shape[1:3] for images in decoded)
    if a != b:
        raise DataError(
            f"The partners in {place_of(pairs)} differ in size: A is {a[1]}x{a[0]}, B is {b[1]}x{b[0]}. "
            "Bring them to one size with dataset.size=256 (or another)."
        )


def partners(a: Domain, b: Domain) -> list[tuple[str, str]]:
    """Files of the same name, apart from their ending, in two folders or places.

    Raises:
        DataError: one has no partner, or two.
    """
    by_stem: list[dict[str, str]] = []
    for _, names, _ in (a, b):
        stems = {PurePosixPath(name).stem: name for name in names}
        if len(stems) < len(names):
            kept = set(stems.values())
            twice = next(name for name in names if name not in kept)
            raise DataError(f"{twice} has a namesake in its folder, so its partner is unclear. Rename one of them.")
        by_stem.append(stems)
    for stems, others, other in ((by_stem[0], by_stem[1], b), (by_stem[1], by_stem[0], a)):
        alone = sorted(name for stem, name in stems.items() if stem not in others)
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            beside = PurePosixPath(next(iter(others.values()))).parent
            folder = beside if a.source is b.source else other.source.path
            raise DataError(
                f"{alone[0]}{more} has no partner in {folder}: partners have the same name, apart from the ending. "
                "Add or remove files."
            )
    return [(name, by_stem[1][stem]) for stem, name in by_stem[0].items()]
