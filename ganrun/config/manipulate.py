"""What ``ganrun sample`` makes of the one picture that a run has learnt: injections, enlargements, animations."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.config.trained import Trained
from ganrun.core.errors import RunError
from ganrun.core.files import write_atomically
from ganrun.core.types import Grid
from ganrun.engine.seeding import fixed_seed
from ganrun.games.base import Game
from ganrun.games.singan import SinGAN, resize, scaled
from ganrun.sampling.animation import FORMATS, check_format, encode
from ganrun.sampling.injection import read_mask, read_picture, repaint

log = logging.getLogger(__name__)

STRETCH = 1.05  # an injected picture whose sides are to each other otherwise by more than this is told of


def pyramid_of(trained: Trained, settings: dict[str, Any]) -> SinGAN | None:
    """The game that one of the options for single pictures asks for; ``None``: none of them was given.

    Raises:
        RunError: the run's game is another one; options that say nothing without ``inject``.
    """
    asked = [option for option in ("inject", "mask", "quantise", "upscale", "animate") if settings[option]]
    if not asked:
        return None
    if not isinstance(trained.game, SinGAN):
        raise RunError(f"{asked[0]} is for SinGAN, and this run is one of {type(trained.game).__name__}. Leave it out.")
    if not settings["inject"] and (idle := [option for option in ("mask", "quantise") if settings[option]]):
        raise RunError(f"{idle[0]} is about an injected picture. Give inject=PICTURE too.")
    if sum(bool(settings[option]) for option in ("inject", "upscale", "animate", "arithmetic")) > 1:
        raise RunError("inject, upscale, animate and arithmetic are different things. Give one of them.")
    return trained.game


def named(settings: dict[str, Any]) -> dict[str, Any]:
    """What else of the options belongs into a file's name."""
    given = {"quantise": settings["quantise"]}
    for option, details in (("mask", ("dilate", "blur")), ("animate", ("frames", "pull", "inertia"))):
        given |= {key: settings[key] for key in details if settings[option]}
    return given


def picture_of(trained: Trained, game: SinGAN, settings: dict[str, Any]) -> Grid:
    """What was asked for, beside what it was made of."""
    return enlargements(trained, game, settings) if settings["upscale"] else injections(trained, game, settings)


def injected(game: Game, settings: dict[str, Any]) -> dict[str, Any]:
    """The options ``inject`` and ``mask`` of :meth:`SinGAN.sample`, where they were given.

    Raises:
        RunError: no ``start_scale``; a file that cannot be used.
    """
    if settings["inject"] is None:
        return {}
    assert isinstance(game, SinGAN)
    finest, start = game.trained[-1], settings["start_scale"]
    if start is None:
        raise RunError("files=single writes the samples of one start_scale. Give it; files=grid shows all.")
    options = {"inject": read_picture(settings["inject"], "inject")}
    if settings["quantise"] and 0 < start < len(game.scales):
        below = game.trained[start - 1]
        painting = resize(options["inject"], scaled(below.size, settings["height"] or 1, settings["width"] or 1))
        options["inject"] = repaint(painting.clamp(-1, 1), below.real, settings["quantise"], settings["seed"])
    if settings["mask"] is not None:
        options["mask"] = read_mask(settings["mask"], finest.size, settings["dilate"], settings["blur"])
    return options


def injections(trained: Trained, game: SinGAN, settings: dict[str, Any]) -> Grid:
    """The injected picture and its samples, from ``start_scale`` on; without one, from every scale that can be.

    Raises:
        RunError: there are no two scales between which it could enter.
    """
    if len(game.scales) < 2:
        raise RunError("This pyramid has one scale, and inject enters between two. Train more.")
    picture = read_picture(settings["inject"], "inject")
    size = scaled(game.trained[-1].size, settings["height"] or 1, settings["width"] or 1)
    stretch = picture.shape[2] * size[1] / (picture.shape[3] * size[0])
    if max(stretch, 1 / stretch) > STRETCH:
        how = settings["inject"], picture.shape[3], picture.shape[2], size[1], size[0]
        log.warning("inject=%s is %dx%d and will be stretched to the proportions of %dx%d", *how)
    asked = settings["start_scale"]
    cells, captions = [], []
    for start in range(1, len(game.scales)) if asked is None else [asked]:
        options = injected(game, settings | {"start_scale": start})
        cells += [resize(picture, size).clamp(-1, 1).to(game.device)]
        cells += [trained.sample(**drawing(settings), start_scale=start, **options)]
        captions += ["injected", *[f"start_scale={start}"] * settings["count"]]
    return Grid(torch.cat(cells), 1 + settings["count"], captions=tuple(captions))


def enlargements(trained: Trained, game: SinGAN, settings: dict[str, Any]) -> Grid:
    """The image enlarged by cubic splines, and by the finest generator."""
    samples = trained.sample(**drawing(settings), upscale=settings["upscale"])
    passes, factor = game.passes(settings["upscale"]), game.factor
    each = settings["upscale"] ** (1 / passes)
    log.info("%d passes that enlarge by %.3f each; the scales of this run differ by %.3f", passes, each, 1 / factor)
    bicubic = resize(game.trained[-1].real, (samples.shape[2], samples.shape[3])).clamp(-1, 1)
    captions = ("bicubic", *["SinGAN"] * len(samples))
    return Grid(torch.cat([bicubic, samples]), 1 + len(samples), captions=captions)


def drawing(settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :meth:`Trained.sample` that are those of all samples."""
    sizes = {key: settings[key] for key in ("height", "width") if settings[key] is not None}
    return {key: settings[key] for key in ("count", "seed", "truncation")} | sizes


def animation(trained: Trained, game: SinGAN, settings: dict[str, Any], where: Path, folder: Path) -> None:
    """Write a clip to ``where`` and show it in the run's TensorBoard.

    Raises:
        RunError: ``where`` has no ending of an animation; sizes other than the image's, of which there is no z*.
    """
    check_format(where)
    if settings["height"] is not None or settings["width"] is not None:
        raise RunError(
            "animate walks around the noise of the picture itself, whose size it has. Leave height and width."
        )
    with fixed_seed("sample", settings["seed"]):
        clip = game.animate(
            settings["frames"], settings["start_scale"] or 0, settings["pull"], settings["inertia"]
        ).cpu()
    content = encode(clip, settings["fps"], FORMATS[where.suffix.lower()])
    write_atomically(where, lambda file: file.write(content))
    show(encode(clip, settings["fps"], "GIF"), clip, trained.step, folder)


def show(gif: bytes, clip: Tensor, step: int, folder: Path) -> None:
    """TensorBoard plays a GIF among its images."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter

    image = Summary.Image(height=clip.shape[2], width=clip.shape[3], colorspace=3, encoded_image_string=gif)
    with SummaryWriter(str(folder), filename_suffix=".animation") as writer:
        summary = Summary(value=[Summary.Value(tag="samples/animation", image=image)])
        writer._get_file_writer().add_summary(summary, step)
