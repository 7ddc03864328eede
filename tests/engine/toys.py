"""Small games and an in-memory data set for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganrun.core.facts import Facts
from ganrun.core.schedules import constant
from ganrun.core.types import Batch, DiscriminatorOutput
from ganrun.engine.settings import AverageSettings, PlayerSettings, TrainerSettings
from ganrun.engine.trainer import Trainer
from ganrun.games.base import Game, Stage
from ganrun.optim.adam import adam


class Numbers:
    """Float samples ``[N, 2]`` in memory, with a coin flip of the sign as augmentation."""

    def __init__(self, count: int = 50, domains: int = 1) -> None:
        generator = torch.Generator().manual_seed(0)
        self.samples = [torch.randn(count + domain, 2, generator=generator) for domain in range(domains)]
        self.facts = Facts("points", (2,), tuple(len(s) for s in self.samples), domains=domains, fingerprint="abc")

    def place(self, device: str) -> None:
        self.samples = [samples.to(device) for samples in self.samples]

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        taken = [samples[index] for samples, index in zip(self.samples, indices, strict=True)]
        signs = [torch.randint(0, 2, (len(t), 1), device=t.device) * 2 - 1 for t in taken]
        return Batch(tuple(t * sign for t, sign in zip(taken, signs, strict=True)))

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        pass

    def examples(self, count: int) -> Batch:
        return Batch(tuple(samples[:count] for samples in self.samples))


class Critic(nn.Module):
    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.LeakyReLU(0.2))
        self.head = nn.Linear(8, 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(self.head(self.trunk(samples)).flatten(),))


class Duel(Game):
    """A two-player game with dropout noise, batch norm and a memory of earlier fakes, in a dozen lines."""

    def __init__(self, critic_steps: int = 2, norm: bool = True) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Linear(8, 2))
        self.critic = Critic(norm)
        self.critic_steps = critic_steps
        self.register_buffer("memory", torch.zeros(2))

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.critic], "generator": [self.generator]}

    def play(self, stream: Any) -> Iterator[dict[str, dict[str, Tensor]]]:
        for _ in range(self.critic_steps):
            real = next(stream).real
            fake = self.generator(torch.randn_like(real)).detach()
            self.memory.lerp_(fake.mean(0), 0.5)
            yield {
                "discriminator": {
                    "fake": self.critic(fake + self.memory).score.mean(),
                    "real": -self.critic(real).score.mean(),
                    "size": self.critic(real).score.square().mean(),
                }
            }
        fake = self.generator(torch.randn_like(real))
        yield {"generator": {"adversarial": -self.critic(fake).score.mean()}}

    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        return self.generator(torch.randn(count, 2, device=self.device))


class Pyramid(Game):
    """Three stages; each starts from what the one before has learned."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList()

    def stages(self) -> Iterator[Stage]:
        for number in range(3):
            level = Duel(1)
            if self.levels:
                level.load_state_dict(self.levels[-1].state_dict())
                level.memory += torch.randn(2).to(level.memory.device)
            self.levels.append(level)
            yield Stage(f"level {number}", level)
            level.requires_grad_(False)

    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        return torch.stack([level.sample(count) for level in self.levels]).mean(0)


def settings(steps: int = 12, **changes: Any) -> TrainerSettings:
    values: dict[str, Any] = {
        "steps": steps,
        "batch_size": 8,
        "accumulate": 1,
        "device": "cpu",
        "devices": 1,
        "precision": "fp32",
        "capture": "auto",
        "threads": None,
        "log_every_steps": 5,
        "picture_every_steps": 0,
        "picture_samples": 4,
        "standing_batches": 0,
        "standing_batch_size": 8,
        "checkpoint_every_steps": 0,
        "keep_checkpoints": 2,
    }
    return TrainerSettings(**(values | changes))


def player_settings(**changes: Any) -> PlayerSettings:
    values: dict[str, Any] = {
        "schedule": constant(),
        "max_grad_norm": None,
        "weight_clip": None,
        "ema": AverageSettings(100.0, 0.5),
    }
    return PlayerSettings(**(values | changes))


OPTIMIZER = partial(adam, lr=0.01, betas=[0.5, 0.9], eps=1e-8, weight_decay=0.0, lazy_every=None)


def make_trainer(
    steps: int = 12, helpers: Any = (), checkpoint: Any = None, domains: int = 1, **changes: Any
) -> Trainer:
    names = ("discriminator", "generator")
    return Trainer(
        settings(steps, **changes),
        0,
        Numbers(domains=domains),
        dict.fromkeys(names, OPTIMIZER),
        dict.fromkeys(names, player_settings()),
        list(helpers),
        checkpoint,
    )


def make_game(kind: type[Game] = Duel) -> Game:
    torch.manual_seed(0)
    return kind()


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are bit-identical."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other
