"""``ganrun neighbours``: samples of a trained run beside the training images nearest to them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from ganrun.config.build import build
from ganrun.config.load import load_data
from ganrun.config.trained import load_run
from ganrun.core.errors import RunError
from ganrun.core.types import Dataset, Grid
from ganrun.engine.folder import RunFolder
from ganrun.metrics.base import Unavailable
from ganrun.metrics.distances import TILE
from ganrun.sampling.draws import needed
from ganrun.sampling.neighbours import Embedding, fetch, nearest, pixels
from ganrun.sampling.pictures import PADDING_LEVEL, draw, save

log = logging.getLogger(__name__)


def neighbours(settings: dict[str, Any]) -> Path:
    """Draw a row for every sample: itself, a gap, and the real images nearest to it; its caption, if it has one.

    Args:
        settings: values of ``conf/neighbours.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, no features, or a game that makes no images of the data.
    """
    folder = RunFolder(Path(settings["run"]))
    trained = load_run(folder.path, settings["step"], settings["weights"])
    dataset = load_data(settings["dataset"], trained.facts)
    drawn = "samples" in trained.game.provides or trained.game.needs == "texts"
    compared = drawn and "single_image" not in dataset.facts.provides
    if dataset.facts.kind != "images" or not compared:
        raise RunError(
            f"{type(trained.game).__name__} makes no images like those of the data here, so none has neighbours among "
            "them. ganrun sample draws its pictures."
        )
    embed = pixels if settings["space"] == "pixels" else feature_embedding(settings["evaluation"], dataset)
    examples = dataset.examples(settings["count"])
    condition = needed(examples) if trained.game.needs else None
    samples = trained.sample(settings["count"], condition, settings["seed"], settings["truncation"])
    with torch.no_grad():
        batch_size = TILE if embed is pixels else settings["evaluation"]["batch_size"]
        found = nearest(samples, dataset, settings["neighbours"], embed, batch_size, progress=True)
        real = fetch(dataset, found.indices.flatten()).unflatten(0, found.indices.shape)
    gap = torch.full_like(samples, PADDING_LEVEL / 127.5 - 1)
    rows = torch.cat([torch.stack([samples, gap], dim=1).to(real.device), real], dim=1)
    name = f"neighbours_{settings['space']}_step_{trained.step:08d}_seed_{settings['seed']}.png"
    where = Path(settings["output"] or folder.samples / name)
    captions = examples.texts if trained.game.needs else ()
    save(draw(Grid(rows.flatten(0, 1), rows.shape[1], captions=captions)), where)
    log.info(
        "%d samples of step %d (first column), each with its %d nearest of %d real images (by %s) -> %s",
        len(samples),
        trained.step,
        real.shape[1],
        dataset.facts.count[0],
        settings["space"],
        where,
    )
    log.info(
        "distances to the nearest: %s", "  ".join(f"{distance:.3g}" for distance in found.distances[:, 0].tolist())
    )
    return where


def feature_embedding(evaluation: dict[str, Any], dataset: Dataset) -> Embedding:
    """Pooled features of the extractor that the evaluation uses.

    Raises:
        RunError: there is none here.
    """
    remedy = "Use space=pixels."
    if evaluation["features"] is None:
        raise RunError(f"this run's evaluation has no feature extractor. Choose one with evaluation=quick. {remedy}")
    try:
        extractor = build(evaluation["features"]).extractor(dataset)
    except Unavailable as reason:
        raise RunError(f"no features: {reason}. {remedy}") from None
    return lambda images: extractor(images).pooled
