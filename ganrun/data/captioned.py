"""Images with captions, for text-to-image games (Reed et al., *... Text to Image Synthesis*, ICML 2016)."""

from __future__ import annotations

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.data.base import Images, choose, window_of
from ganrun.data.captions import Captions, captions_of
from ganrun.data.decode import Crop, Filter, Shaping, decode_files
from ganrun.data.source import open_source
from ganrun.data.text import Encoder


class Captioned(Images):
    """The colour images of a directory or ZIP archive, each with one or more captions.

    In training every image comes with the vector of one of its captions, drawn anew each time; elsewhere with the
    first's.

    Args:
        path: directory or ZIP archive of the images.
        captions: file of the captions, CSV or JSON lines; ``None``: the one among the images, or beside them.
        encoder: from captions to vectors.
        size: side in pixels; ``None`` keeps the images' own, which must then agree.
        load_size: side to which images are brought before a random square of ``size`` is cut out of each; ``None``:
            they are brought to ``size``.
        crop: ``center``: the centred square; ``none``: the whole image, stretched to a square if ``size`` is given.
        filter: resampling filter.
        subset: a count, a fraction or ``None`` for all, of the images.
        subset_seed: which images a subset takes.
        flip: mirror half of the images; captions may then be wrong about left and right.

    Raises:
        DataError: no images or captions are there, they do not belong together, a file is corrupt or sizes differ.
    """

    provides = ("images", "captions")

    def __init__(
        self,
        path: str | None,
        captions: str | None,
        encoder: Encoder,
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
        texts = captions_of(source, captions)
        names = list(texts)
        taken = [names[index] for index in choose(len(names), None, subset, subset_seed)]
        decoded = decode_files(source, taken, None, Shaping(load_size or size, crop, filter), "stop", colour=True)
        described = Captions([texts[name] for name in taken], encoder)
        resampling = filter if size is not None else "own size"
        super().__init__(source.path.stem, [decoded], 0, resampling, flip, window, captions=described)
