"""``ganrun sample``: pictures from a checkpoint."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.config import manipulate
from ganrun.config.conditions import read_style
from ganrun.config.layouts import picture_of_layouts
from ganrun.config.load import load_data
from ganrun.config.texts import vectors_of
from ganrun.config.trained import BATCH, Trained, load_run
from ganrun.core.errors import RunError
from ganrun.core.types import Dataset, Grid, Picture, Scatter
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.base import Arrangement
from ganrun.latents import arithmetic
from ganrun.sampling.draws import needed
from ganrun.sampling.pictures import draw, save
from ganrun.sampling.write import write_images

log = logging.getLogger(__name__)

OPTIONS = ("height", "width", "start_scale", "upscale")
"""Settings that only some games' ``sample`` understands."""

COUNT = 64
"""Samples, if nothing else is said."""

NEIGHBOUR_ROWS = 3

MOST_COLUMNS = 10  # of samples of one text


def sample(settings: dict[str, Any]) -> Path:
    """Draw samples from a trained run and write them as one picture or as single files.

    Args:
        settings: values of ``conf/sample.yaml``.

    Returns:
        The picture, or the folder of pictures.

    Raises:
        RunError: no such checkpoint, or an option that the game does not have.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], "ema")
    output = settings["output"] and Path(settings["output"])
    pyramid = manipulate.pyramid_of(trained, settings)
    settings = settings | {"count": settings["count"] or (COUNT if pyramid is None else 1)}
    name = file_name(trained.step, settings)
    if pyramid is not None and settings["animate"]:
        where = output or folder.samples / f"{name}.gif"
        manipulate.animation(trained, pyramid, settings, where, folder.path)
        log.info("%d frames of step %d -> %s", settings["frames"], trained.step, where)
        return where
    if settings["files"] == "single":
        where = output or folder.samples / name
        shown = write_single_files(trained, settings, where)
    else:
        where = output or folder.samples / f"{name}.png"
        if pyramid is not None:
            picture: Picture = manipulate.picture_of(trained, pyramid, settings)
        else:
            picture = sum_picture(trained, settings) if settings["arithmetic"] else picture_of(trained, settings)
        save(draw(picture), where)
        shown = len(picture.images if isinstance(picture, Grid) else picture.generated)
    log.info("%d samples of step %d -> %s", shown, trained.step, where)
    return where


def file_name(step: int, settings: dict[str, Any]) -> str:
    """Unlike settings make unlike names, so that no earlier picture is lost."""
    given = {key: settings[key] for key in ("count", "seed", "truncation", "condition", *OPTIONS)}
    given |= manipulate.named(settings)
    if settings["text"] is not None:
        given["text"] = slug(texts_of(settings))
    for key in ("layout", "style", "inject", "mask"):
        if settings[key] is not None:
            given[key] = slug([Path(settings[key]).stem, settings[key]])
    if settings["arithmetic"]:
        given["sum"] = settings["arithmetic"].replace(" ", "")
    parts = [f"{key}_{value}" for key, value in given.items() if value is not None]
    return "_".join([f"step_{step:08d}", *parts, *(["numbered"] if settings["numbered"] else [])])


def texts_of(settings: dict[str, Any]) -> list[str]:
    """The texts that were asked for."""
    text = settings["text"]
    return [text] if isinstance(text, str) else list(text)


def slug(texts: Sequence[str]) -> str:
    """A short name of texts for a file, with a number that tells it from others that begin alike."""
    joined = "\n".join(texts)
    return f"{re.sub('[^a-z0-9]+', '-', joined.lower())[:40].strip('-')}-{zlib.crc32(joined.encode()):08x}"


def samples_of(trained: Trained, settings: dict[str, Any], condition: Tensor | int | None) -> dict[str, Any]:
    """Arguments of :meth:`Trained.sample`."""
    options = {key: settings[key] for key in OPTIONS if settings[key] is not None}
    options |= manipulate.injected(trained.game, settings)
    if settings["style"] is not None:
        options["style"] = read_style(trained, settings["style"])
    return {"condition": condition} | {key: settings[key] for key in ("count", "seed", "truncation")} | options


def run_data(trained: Trained) -> Dataset:
    """The data that the run was trained on."""
    return load_data(trained.config["dataset"], trained.facts)


def given_condition(trained: Trained, settings: dict[str, Any]) -> Tensor | int | None:
    """What was asked for; a game that needs conditions gets some of the data."""
    if trained.game.needs and settings["condition"] is None:
        return needed(run_data(trained).examples(settings["count"]))
    asked: int | None = settings["condition"]
    return asked


def write_single_files(trained: Trained, settings: dict[str, Any], where: Path) -> int:
    """Write every sample as a file of its own.

    Raises:
        RunError: the samples are points, or something is asked for that only a picture has.
    """
    if trained.facts.kind != "images":
        raise RunError("files=single writes images, and this run makes points. Use files=grid.")
    if settings["numbered"] or settings["arithmetic"]:
        raise RunError("numbered and arithmetic make one picture. Use files=grid.")
    if settings["layout"] is not None:
        raise RunError("layout makes one picture; ganrun translate writes single files. Use files=grid.")
    if settings["text"] is None:
        condition = given_condition(trained, settings)
    else:
        condition = vectors_of_texts(trained, settings)
        settings = settings | {"count": len(condition)}
    batches = trained.batches(**samples_of(trained, settings, condition))
    count: int = settings["count"]
    write_images(lambda size: next(batches), count, batch_size=BATCH, folder=where, progress=True)
    return count


def vectors_of_texts(trained: Trained, settings: dict[str, Any]) -> Tensor:
    """Of the texts that were asked for, each as often as there are samples of it.

    Raises:
        RunError: the game draws no texts, a text cannot be read, or there is a class beside them.
    """
    if settings["condition"] is not None:
        raise RunError("condition is for classes and text for texts. Leave one of them out.")
    vectors = vectors_of(texts_of(settings), trained.game, trained.config, trained.facts)
    return vectors.repeat_interleave(settings["count"], 0)


def picture_of_texts(trained: Trained, settings: dict[str, Any]) -> Grid:
    """Samples of the texts that were asked for, in rows above their text, or of captions of the data."""
    count = settings["count"]
    if settings["text"] is None:
        examples = run_data(trained).examples(count)
        condition, captions, columns = needed(examples), examples.texts, max(1, round(count**0.5))
    else:
        condition = vectors_of_texts(trained, settings)
        columns = max(divisor for divisor in range(1, MOST_COLUMNS + 1) if count % divisor == 0)
        above = [""] * (count // columns - 1)
        captions = tuple(line for text in texts_of(settings) for line in (*above, text))
    samples = trained.sample(**samples_of(trained, settings | {"count": len(condition)}, condition))
    if settings["numbered"]:
        captions = tuple(map(str, range(len(samples))))
    return Grid(samples, columns, captions=captions)


def picture_of(trained: Trained, settings: dict[str, Any]) -> Picture:
    """All samples as one picture: one class per row, unless a condition is given; of texts with these below.

    Raises:
        RunError: points were to be numbered.
    """
    if settings["layout"] is not None:
        return picture_of_layouts(trained, settings)
    if trained.game.needs == "texts" or settings["text"] is not None:
        return picture_of_texts(trained, settings)
    count = settings["count"]
    condition = given_condition(trained, settings)
    if condition is None:
        arranged = trained.game.arrange(count)
        condition = arranged.condition
        if condition is not None:  # all latents are drawn, so that a sample's number does not hang on the classes
            condition = condition[torch.arange(count).clamp(max=arranged.count - 1)]
    else:
        arranged = Arrangement(count, None, max(1, round(count**0.5)))
    samples = trained.sample(**samples_of(trained, settings, condition))[: arranged.count]
    if samples.ndim == 4:
        captions = tuple(map(str, range(arranged.count))) if settings["numbered"] else ()
        return Grid(samples, arranged.columns, arranged.rows, captions)
    if settings["numbered"]:
        raise RunError("numbered=true is for images, and this run makes points. Leave it out.")
    return Scatter(samples, run_data(trained).examples(count).real)


def sum_picture(trained: Trained, settings: dict[str, Any]) -> Grid:
    """The means of ``arithmetic``, their sum, and below them samples from around it.

    Raises:
        RunError: no images; no latents that could be added; no such sum; a conditional game without a class.
    """
    expression, count, game = settings["arithmetic"], settings["count"], trained.game
    space = game.latent_space()
    if space is None or space.path is None:
        raise RunError(
            f"arithmetic adds latents, and {type(game).__name__} has none, or some with parts that are no numbers. "
            "Leave arithmetic out."
        )
    if trained.facts.kind != "images":
        raise RunError("arithmetic is for images, and this run makes points. Leave it out.")
    if game.classes and settings["condition"] is None:
        raise RunError("arithmetic with a conditional model needs a class for the pictures. Give condition=NUMBER.")
    terms = terms_of(expression, count)
    latents = trained.latents(count, settings["seed"], settings["truncation"])
    means = arithmetic.means(latents, terms)
    points = torch.cat([means, arithmetic.total(means, terms)[None]])
    points = arithmetic.at_home(points, latents, space.path)
    with fixed_seed("around", settings["seed"]):
        near = arithmetic.around(points[-1], NEIGHBOUR_ROWS * len(points), settings["spread"], space.path)
    samples = trained.at(torch.cat([points, near]), settings["condition"], settings["truncation"])
    captions = (str(terms[0]).removeprefix("+ "), *map(str, terms[1:]), "= sum", *["near it"] * len(near))
    return Grid(samples, len(points), captions=captions)


def terms_of(expression: str, count: int) -> list[arithmetic.Term]:
    """The terms of a sum of the samples 0 to ``count`` - 1.

    Raises:
        RunError: it cannot be read, or a number is too large.
    """
    try:
        terms = arithmetic.parse(expression)
    except ValueError as error:
        raise RunError(f"arithmetic={error}.") from None
    if (largest := max(number for term in terms for number in term.numbers)) >= count:
        raise RunError(
            f"arithmetic names sample {largest}, and with count={count} there are 0 to {count - 1}. Give the count and "
            "the seed of the picture that was numbered."
        )
    return terms
