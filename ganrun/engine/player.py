"""A player: the parameters that are updated together, and everything done around their update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ganrun.core.errors import ConfigError, Problem
from ganrun.engine.distributed import average_gradients
from ganrun.engine.settings import AverageSettings, PlayerSettings
from ganrun.games.base import Game

OptimizerFactory = Callable[[list[nn.Parameter]], torch.optim.Optimizer]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


class Player:
    """Parameters with one optimizer, schedule, clipping and moving average.

    Args:
        modules: what the player owns.
        optimizer: makes the optimizer from the parameters.
        settings: schedule, clipping, averaging.
    """

    def __init__(self, modules: list[nn.Module], optimizer: OptimizerFactory, settings: PlayerSettings) -> None:
        self.parameters = list(dict.fromkeys(p for m in modules for p in m.parameters() if p.requires_grad))
        self.settings = settings
        self.optimizer = optimizer(self.parameters)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        norms = {p for m in modules for n in m.modules() if isinstance(n, _NORMS) for p in n.parameters()}
        self.clippable = [p for p in self.parameters if p not in norms]
        self.average = Average(modules, settings.ema) if settings.ema else None

    def begin_step(self, progress: float, images_seen: int, batch_size: int) -> None:
        """Set the learning rate and the average's decay for the updates of one step.

        Args:
            progress: of the stage, in [0, 1].
            images_seen: real samples drawn before the step.
            batch_size: samples behind an update.
        """
        factor = self.settings.schedule(progress)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = assigned(group["lr"], rate * factor)
        if self.average is not None:
            self.average.begin_step(images_seen, batch_size)

    def keep_numbers_on(self, device: torch.device) -> None:
        """Keep the learning rate and the average's weight in scalar tensors, so that recorded updates follow them."""
        for group in self.optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
            if "capturable" in group:
                group["capturable"] = device.type == "cuda"
        if self.average is not None:
            self.average.weight = torch.ones((), device=device)

    def update(self) -> Tensor:
        """Average gradients over processes, clip, step, clamp, average weights; gradients are consumed.

        Returns:
            Global gradient norm before clipping.
        """
        average_gradients(self.parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if self.settings.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.settings.max_grad_norm, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.settings.weight_clip is not None:
            with torch.no_grad():
                for parameter in self.clippable:
                    parameter.clamp_(-self.settings.weight_clip, self.settings.weight_clip)
        if self.average is not None:
            self.average.update()
        return norm

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and moving average; no copies, so that training changes them."""
        average = None if self.average is None else self.average.tensors
        optimizer = self.optimizer.state_dict()
        groups = [group | {"lr": float(group["lr"])} for group in optimizer["param_groups"]]
        return {"optimizer": optimizer | {"param_groups": groups}, "average": average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        saved = state["optimizer"]
        own = [{n: group[n] for n in ("lr", "capturable") if n in group} for group in self.optimizer.param_groups]
        groups = [group | mine for group, mine in zip(saved["param_groups"], own, strict=True)]
        self.optimizer.load_state_dict(saved | {"param_groups": groups})
        if self.average is not None and state["average"] is not None:
            for tensor, saved in zip(self.average.tensors, state["average"], strict=True):
                tensor.copy_(saved)


class Average:
    """Exponential moving average of modules' parameters and floating-point buffers; other buffers are copied.

    The decay for a batch is ``0.5 ** (batch / halflife)`` with ``halflife = min(halflife_images, rampup · images
    seen)``, so that early averages forget the initial weights (Karras et al., *StyleGAN2*, 2020).

    Args:
        modules: what is averaged.
        settings: half-life and ramp-up.
    """

    def __init__(self, modules: list[nn.Module], settings: AverageSettings) -> None:
        self.settings = settings
        self.live = averaged_tensors(modules)
        self.tensors = [tensor.detach().clone() for tensor in self.live]
        self.weight: float | Tensor = 1.0
        self._smooth = [i for i, tensor in enumerate(self.live) if tensor.is_floating_point()]
        self._copied = [i for i, tensor in enumerate(self.live) if not tensor.is_floating_point()]

    def begin_step(self, images_seen: int, batch_size: int) -> None:
        """Set how far the updates of one step move the average."""
        halflife = min(self.settings.halflife_images, self.settings.rampup * images_seen)
        self.weight = assigned(self.weight, 1.0 - 0.5 ** (batch_size / max(halflife, 1e-8)))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the live weights."""
        averages = [self.tensors[i] for i in self._smooth]
        live = [self.live[i].detach() for i in self._smooth]
        if isinstance(self.weight, Tensor):  # one weight for all tensors: torch has no such kernel of its own
            distances = torch._foreach_sub(live, averages)
            torch._foreach_mul_(distances, self.weight)
            torch._foreach_add_(averages, distances)
        else:
            torch._foreach_lerp_(averages, live, self.weight)
        for i in self._copied:
            self.tensors[i].copy_(self.live[i])

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and live values."""
        for average, live in zip(self.tensors, self.live, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)


def assigned(place: float | Tensor, value: float) -> float | Tensor:
    """``value``; in ``place`` where that is a tensor."""
    return place.fill_(value) if isinstance(place, Tensor) else value


def averaged_tensors(modules: list[nn.Module]) -> list[Tensor]:
    """What an average of ``modules`` covers, in the order of its saved state."""
    tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    return list({id(t): t for t in tensors}.values())


@torch.no_grad()
def use_averages(game: Game, players: dict[str, dict[str, Any]]) -> None:
    """Load the moving averages in saved players' states into the weights of ``game``."""
    for name, modules in game.players().items():
        if (average := players[name]["average"]) is not None:
            for live, saved in zip(averaged_tensors(modules), average, strict=True):
                live.copy_(saved)


@contextmanager
def averaged(players: Iterable[Player]) -> Iterator[None]:
    """Put the moving averages in place of the weights inside the block."""
    with ExitStack() as stack:
        for player in players:
            if player.average is not None:
                player.average.swap()
                stack.callback(player.average.swap)
        yield


def make_players(
    game: Game, optimizers: dict[str, OptimizerFactory], settings: dict[str, PlayerSettings]
) -> dict[str, Player]:
    """Players of a game, after checking that they divide its trainable parameters among themselves.

    Raises:
        ConfigError: a player without settings or optimizer.
        ValueError: a parameter without an owner or with two; the message lists them.
    """
    owned = game.players()
    missing = [
        Problem(f"{group}.{name}", "the game has a player of this name, the configuration has not")
        for name in owned
        for group, given in (("optimizer", optimizers), ("player", settings))
        if name not in given
    ]
    if missing:
        raise ConfigError(missing)
    check_ownership(game)
    return {name: Player(modules, optimizers[name], settings[name]) for name, modules in owned.items()}


def check_ownership(game: Game) -> None:
    """Every trainable parameter of ``game`` has exactly one owner.

    Raises:
        ValueError: listing orphans and parameters with several owners.
    """
    owners: dict[nn.Parameter, list[str]] = {p: [] for p in game.parameters() if p.requires_grad}
    for name, modules in game.players().items():
        for parameter in dict.fromkeys(p for module in modules for p in module.parameters()):
            if parameter.requires_grad:
                owners.setdefault(parameter, []).append(name)
    names = {parameter: name for name, parameter in game.named_parameters()}
    wrong = [
        f"{names.get(parameter, 'a parameter outside the game')} ({', '.join(owner) or 'no owner'})"
        for parameter, owner in owners.items()
        if len(owner) != 1
    ]
    if wrong:
        raise ValueError(
            f"{type(game).__name__}: every trainable parameter needs exactly one player: {'; '.join(wrong)}"
        )
