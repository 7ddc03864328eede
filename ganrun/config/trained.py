"""A trained run, ready to be sampled: what :func:`ganrun.load` returns and the verbs draw from."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from ganrun.config.exported import facts_of, load_exported
from ganrun.config.load import Weights, load_data, load_game, truncated
from ganrun.config.runs import is_exported, saved_config
from ganrun.config.texts import vectors_of
from ganrun.config.words import listing
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset
from ganrun.engine import checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.adversarial import LatentGame
from ganrun.games.base import Game
from ganrun.sampling.translate import at_any_size

BATCH = 256
"""Samples that are made at once."""

TRANSLATED = 16
"""Images that are translated at once."""
Condition = int | Sequence[int] | str | Sequence[str] | Tensor | None
"""What samples are asked for with: classes, texts, or what else a game needs."""


@dataclass(frozen=True)
class Trained:
    """A trained game. Equal seeds and counts draw equal latents, here and in the verbs.

    Samples are float32 without gradients, on the device of the networks: images ``[N, C, H, W]`` in [-1, 1], or points
    ``[N, 2]``. For gradients call ``game.generator`` itself.

    Args:
        game: its networks, in evaluation mode; ``game.device`` says where.
        config: what it was trained with; of an exported generator, what makes it.
        facts: of the data that it was trained on.
        step: at which it was taken.
        weights: ``ema`` for moving averages, ``raw`` for the weights trained last.
    """

    game: Game
    config: dict[str, Any]
    facts: Facts
    step: int
    weights: str

    def sample(
        self,
        count: int,
        condition: Condition = None,
        seed: int | None = None,
        truncation: float | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw samples.

        Args:
            count: how many.
            condition: the class of all or of each; ``None``: classes in turn. What the game needs, if it needs
                something (:attr:`~ganrun.games.base.Game.needs`): images ``[N, C, H, W]`` to translate, label maps
                ``[N, H, W]``, or a text, several, or their vectors ``[N, D]``, taken in turn.
            seed: of the latents; ``None``: torch's generators go on as they are.
            truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
            options: SinGAN's ``height``, ``width``, ``start_scale``, ``inject``, ``mask`` and ``upscale``.

        Raises:
            RunError: the game has no such classes, latents or options.
        """
        return torch.cat(list(self.batches(count, condition, seed, truncation, **options)))

    @torch.no_grad()
    def batches(
        self,
        count: int,
        condition: Condition = None,
        seed: int | None = None,
        truncation: float | None = None,
        **options: Any,
    ) -> Iterator[Tensor]:
        """What :meth:`sample` returns, in parts of :data:`BATCH`."""
        self._check(count, options)
        given = self._needed(count, condition) if self.game.needs else self._classes(count, condition)
        with _seeded(seed), truncated(self.game, truncation, self.config):
            latents = self.game.latent(count, self.game.device) if isinstance(self.game, LatentGame) else None
            for part in torch.arange(count, device=self.game.device).split(BATCH):
                classes = None if given is None else given[part]
                if latents is not None:
                    yield self._decode(latents[part], classes)
                else:
                    yield self.game.sample(len(part), classes, **options)

    @property
    def directions(self) -> tuple[str, ...]:
        """Ways in which images, or label maps, are turned into others; none: the game does not do so.

        Of paired data there is one, that which the run was trained for.
        """
        if self.game.needs not in ("images", "maps"):
            return ()
        return self.game.directions or (self.config.get("dataset", {}).get("direction", "source_to_target"),)

    @torch.no_grad()
    def translate(self, images: Tensor, direction: str | None = None, seed: int | None = None) -> Tensor:
        """Turn images into others.

        Args:
            images: ``[N, C, H, W]`` in [-1, 1], or label maps ``[N, H, W]`` (int64) where the game takes these; of any
                size, where its networks are convolutions only. What is not divisible as they need it is continued by
                its mirror image, which is cut off again.
            direction: one of :attr:`directions`; ``None``: the first.
            seed: of what is random in translations; ``None``: torch's generators go on as they are.

        Returns:
            ``[N, C, H, W]``, of the same height and width.

        Raises:
            RunError: the game translates nothing, knows no such direction, or cannot take these images.
        """
        way = self.direction(direction)
        self._check_sources(images)

        def one_batch(part: Tensor) -> Tensor:
            return self.game.translate(part, way) if self.game.directions else self.game.sample(len(part), part)

        kind = torch.int64 if self.game.needs == "maps" else torch.float32
        parts = images.to(self.game.device, kind).split(TRANSLATED)
        with _seeded(seed):
            return torch.cat([at_any_size(one_batch, part, self.game.sides()) for part in parts])

    def direction(self, asked: str | None) -> str:
        """A direction that is known; ``None`` asks for the first.

        Raises:
            RunError: it is not.
        """
        if not self.directions:
            name = type(self.game).__name__
            raise RunError(f"{name} turns no images into others. ganrun sample draws its pictures.")
        if asked is not None and asked not in self.directions:
            raise RunError(f"direction={asked}: this {type(self.game).__name__} knows {listing(self.directions)}.")
        return asked or self.directions[0]

    def latents(self, count: int, seed: int | None = None, truncation: float | None = None) -> Tensor:
        """Draw latents ``[count, size]``: those behind the samples of the same count, seed and truncation.

        Raises:
            RunError: the game has no latents, or none that can be truncated.
        """
        self._check(count, {})
        game = self._with_latent("no latents to draw")
        with torch.no_grad(), _seeded(seed), truncated(game, truncation, self.config):
            return game.latent(count, game.device)

    @torch.no_grad()
    def at(
        self,
        latents: Tensor,
        condition: int | Sequence[int] | Tensor | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """The samples of given latents.

        Args:
            latents: ``[N, size]``.
            condition: the class of all or of each; ``None``: classes in turn.
            truncation: ψ of styles; latents are taken as they are, so give what they were drawn with.

        Raises:
            RunError: the game has no latents, latents of another size, or no such classes.
        """
        game = self._with_latent("nothing to make of latents")
        size = getattr(game.latent, "size", None)
        if size is not None and (latents.ndim != 2 or latents.shape[1] != size):
            raise RunError(f"the latents are {list(latents.shape)}, and the generator takes [count, {size}].")
        latents = latents.to(game.device)
        classes = self._classes(len(latents), condition)
        parts = torch.arange(len(latents), device=game.device).split(BATCH)
        with truncated(game, truncation, self.config):
            return torch.cat(
                [self._decode(latents[part], None if classes is None else classes[part]) for part in parts]
            )

    def _decode(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        return self._with_latent("no latents").decode(latents, classes)

    def _with_latent(self, lack: str) -> LatentGame:
        if not isinstance(self.game, LatentGame):
            raise RunError(f"{type(self.game).__name__} has {lack}. ganrun sample draws its pictures.")
        return self.game

    def _check(self, count: int, options: dict[str, Any]) -> None:
        if count < 1:
            raise RunError(f"there are no {count} samples. Ask for 1 or more.")
        known = inspect.signature(self.game.sample).parameters.keys() - {"count", "condition"}
        if unknown := sorted(options.keys() - known):
            name = type(self.game).__name__
            raise RunError(f"{name} cannot be sampled with {', '.join(unknown)}. Leave that out.")

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of one condition; of translators of unpaired domains, that of an image."""
        return self.facts.condition_shape or self.facts.shape

    def _check_sources(self, images: Tensor) -> None:
        *channels, height, width = self.source_shape
        is_maps = self.game.needs == "maps"
        name, kind = type(self.game).__name__, "label maps" if is_maps else "images"
        if images.ndim != len(channels) + 3 or list(images.shape[1:-2]) != channels or len(images) == 0:
            shape = ", ".join(["count", *map(str, channels), "height", "width"])
            raise RunError(f"{name} takes {kind} [{shape}], not {list(images.shape)}.")
        if is_maps == images.is_floating_point():
            raise RunError(f"{name} takes {kind} of {'int64' if is_maps else 'floats in [-1, 1]'}, not {images.dtype}.")
        if is_maps and not 0 <= int(images.min()) <= int(images.max()) < self.facts.condition_size:
            raise RunError(f"the classes of label maps are 0 to {self.facts.condition_size - 1}.")
        if self.game.sides() is None and images.shape[-2:] != (height, width):
            raise RunError(
                f"{name} with these networks takes {kind} of {width}x{height} only, not "
                f"{images.shape[-1]}x{images.shape[-2]}. Bring them to that size (ganrun translate: size=training)."
            )

    def _needed(self, count: int, condition: Condition) -> Tensor:
        """The conditions that the game cannot do without, in turn up to ``count``."""
        if is_text(condition):
            condition = vectors_of(condition, self.game, self.config, self.facts)
        shape = self.source_shape
        if not isinstance(condition, Tensor) or condition.shape[1:] != shape:
            what = {"images": "images", "maps": "label maps", "texts": "texts"}[str(self.game.needs)]
            strings = "strings, or " if self.game.needs == "texts" else ""
            raise RunError(
                f"{type(self.game).__name__} needs {what}. Give it some, {strings}a tensor of the shape "
                f"[count, {', '.join(map(str, shape))}], as the condition."
            )
        return condition.to(self.game.device)[torch.arange(count, device=self.game.device) % len(condition)]

    def _classes(self, count: int, condition: Condition) -> Tensor | None:
        """Labels ``[count]``; ``None`` where the game takes none."""
        classes = self.game.classes
        if is_text(condition):
            raise RunError(f"{type(self.game).__name__} draws no texts.")
        if condition is None:
            return torch.arange(count, device=self.game.device) % classes if classes else None
        if not classes:
            raise RunError(f"this {type(self.game).__name__} was not trained by class. Leave condition out.")
        labels = torch.as_tensor(condition, device=self.game.device)
        if labels.is_floating_point() or labels.shape not in ((), (1,), (count,)):
            raise RunError(f"condition is one class, a whole number, or as many as there are samples, {count}.")
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise RunError(f"the classes are 0 to {classes - 1}, and condition names another.")
        return labels.long().expand(count)


def is_text(condition: object) -> TypeGuard[str | Sequence[str]]:
    """Whether a condition is one text or several."""
    several = isinstance(condition, Sequence) and len(condition) > 0 and all(isinstance(c, str) for c in condition)
    return isinstance(condition, str) or several


def _seeded(seed: int | None) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if seed is None else fixed_seed("sample", seed)


def load(run: str | Path, step: str | int, weights: Weights, device: str) -> Trained:
    """See :func:`ganrun.load`."""
    _check_choice("step", step, ("last", "best"), isinstance(step, int) and step >= 0, "or the number of a step")
    _check_choice("weights", weights, ("ema", "raw"))
    _check_choice("device", device, ("auto", "cpu", "cuda"))
    folder = Path(run).expanduser()
    if is_exported(folder):
        game, found = load_exported(folder, device)
        return Trained(game, found, facts_of(found), found["step"], found["weights"])
    saved_config(folder)
    return load_run(folder, step, weights, device)


def load_run(
    folder: Path, step: str | int, weights: Weights, device: str = "auto", dataset: Dataset | None = None
) -> Trained:
    """A run as one of its checkpoints has it.

    Args:
        folder: of the run.
        step: ``last``, ``best`` or a number.
        weights: which of the generator's.
        device: ``auto``, ``cpu`` or ``cuda``.
        dataset: the data; without it those of the run are loaded where the game cannot be made without.

    Raises:
        RunError: no such checkpoint.
    """
    state = checkpoint.choose(RunFolder(folder), step)
    facts = Facts(**state["facts"])
    if dataset is None and "single_image" in facts.provides:
        dataset = load_data(state["config"]["dataset"], facts, device)
    game = load_game(state, dataset, weights, device)
    averaged = any(player["average"] is not None for player in state["players"].values())
    return Trained(game, state["config"], facts, state["step"], weights if averaged else "raw")


def _check_choice(name: str, value: object, choices: tuple[str, ...], accepted: bool = False, more: str = "") -> None:
    if value not in choices and not accepted:
        raise RunError(f"{name}={value!r}: choose {', '.join(choices)} {more}".rstrip() + ".")
