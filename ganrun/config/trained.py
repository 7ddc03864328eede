"""A trained run, ready to be sampled: what :func:`ganrun.load` returns and the verbs draw from."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganrun.config.exported import facts_of, is_exported, load_exported
from ganrun.config.load import Weights, load_data, load_game, truncated
from ganrun.config.runs import saved_config
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset
from ganrun.engine import checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.seeding import fixed_seed
from ganrun.games.adversarial import LatentGame
from ganrun.games.base import Game

BATCH = 256
"""Samples that are made at once."""


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
        condition: int | Sequence[int] | Tensor | None = None,
        seed: int | None = None,
        truncation: float | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw samples.

        Args:
            count: how many.
            condition: the class of all or of each; ``None``: classes in turn. What the game needs, if it needs
                something (:attr:`~ganrun.games.base.Game.needs`): images ``[N, C, H, W]`` to translate, label maps
                ``[N, H, W]`` or vectors of texts ``[N, D]``, taken in turn.
            seed: of the latents; ``None``: torch's generators go on as they are.
            truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
            options: SinGAN's ``height``, ``width`` and ``start_scale``.

        Raises:
            RunError: the game has no such classes, latents or options.
        """
        return torch.cat(list(self.batches(count, condition, seed, truncation, **options)))

    @torch.no_grad()
    def batches(
        self,
        count: int,
        condition: int | Sequence[int] | Tensor | None = None,
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

    def _needed(self, count: int, condition: object) -> Tensor:
        """The conditions that the game cannot do without, in turn up to ``count``."""
        shape = self.facts.condition_shape or self.facts.shape  # translators of unpaired domains: an image of one
        if not isinstance(condition, Tensor) or condition.shape[1:] != shape:
            what = {"images": "images", "maps": "label maps", "texts": "vectors of texts"}[str(self.game.needs)]
            raise RunError(
                f"{type(self.game).__name__} needs {what}. Give it some, a tensor of the shape "
                f"[count, {', '.join(map(str, shape))}], as the condition."
            )
        return condition.to(self.game.device)[torch.arange(count, device=self.game.device) % len(condition)]

    def _classes(self, count: int, condition: int | Sequence[int] | Tensor | None) -> Tensor | None:
        """Labels ``[count]``; ``None`` where the game takes none."""
        classes = self.game.classes
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
