"""Training loops to compare ``ganrun`` with: as people write them, as fast as they can be written, and peers' own.

A loop is a function of a number of steps, which it plays; a step is ``critic_steps`` discriminator updates and one
generator update. All train networks that ``ganrun`` made, but for the peers', which train theirs.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss, relu, softplus
from torch.nn.utils.parametrize import cached
from torch.utils.data import DataLoader, Dataset

from ganrun.core.types import DiscriminatorOutput
from ganrun.games.base import Game
from ganrun.losses.base import map_output

Loop = Callable[[int], None]


@dataclass(frozen=True)
class Task:
    """What all loops of a comparison have in common.

    Args:
        images: a set per domain, ``[N, H, W, C]`` uint8.
        batch_size: images per update.
        critic_steps: discriminator updates per step.
        loss: ``nonsaturating``, ``hinge`` or ``wasserstein`` (with the penalty), where the game is a plain one.
        lr: learning rate.
        betas: of Adam.
        device: where to train.
        bf16: whether fast loops compute in bf16.
    """

    images: tuple[Tensor, ...]
    batch_size: int
    critic_steps: int
    loss: str
    lr: float
    betas: tuple[float, float]
    device: torch.device
    bf16: bool


DISCRIMINATOR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nonsaturating": lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    "hinge": lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
}
GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {
    "nonsaturating": lambda fake: softplus(-fake).mean(),
    "hinge": lambda fake: -fake.mean(),
    "wasserstein": lambda fake: -fake.mean(),
}


class Normalised(Dataset[Tensor]):
    """Images one by one, normalised as tutorials do."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index].permute(2, 0, 1).float() / 255
        return (image - 0.5) / 0.5


def loaded(images: Tensor, task: Task) -> Iterator[Tensor]:
    """Batches from a ``DataLoader``, epoch after epoch."""
    pinned = task.device.type == "cuda"
    loader = DataLoader(
        Normalised(images),
        task.batch_size,
        shuffle=True,
        num_workers=2,
        pin_memory=pinned,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        for batch in loader:
            yield batch.to(task.device, non_blocking=pinned)


def gathered(images: Tensor, task: Task) -> Iterator[Tensor]:
    """Batches from images that are on the device as bytes."""
    held = images.to(task.device)
    while True:
        order = torch.randperm(len(held), device=task.device)
        for indices in order.split(task.batch_size):
            if len(indices) == task.batch_size:
                yield held[indices].float().div_(127.5).sub_(1).permute(0, 3, 1, 2)


def penalty(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """``10 (‖∇D‖ - 1)²`` between reals and fakes."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    points = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(judge(points).sum(), points, create_graph=True)
    return 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()


def misread(game: Any, z: Tensor, fake: DiscriminatorOutput) -> Tensor | float:
    """How badly InfoGAN's codes are read off the fakes; nothing for other games."""
    if fake.code is None:
        return 0.0
    loss: Tensor = game.latent.cross_entropy(z, fake.code) + game.latent.negative_log_likelihood(z, fake.code)
    return loss


def plain(game: Any, task: Task) -> Loop:
    """As people write it: float32, two passes, a DataLoader, losses read after every step."""
    generator, discriminator = game.generator.to(task.device).train(), game.discriminator.to(task.device).train()
    optimizer_g = torch.optim.Adam(generator.parameters(), task.lr, task.betas)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), task.lr, task.betas)
    batches = loaded(task.images[0], task)
    history = []

    def draw(count: int) -> tuple[Tensor, Tensor]:
        z = game.latent(count, task.device)
        return z, generator(z)

    def play(steps: int) -> None:
        for _ in range(steps):
            for _ in range(task.critic_steps):
                real = next(batches)
                optimizer_d.zero_grad()
                z, fake = draw(len(real))
                of_real, of_fake = discriminator(real), discriminator(fake.detach())
                loss_d = DISCRIMINATOR[task.loss](of_real.score, of_fake.score) + misread(game, z, of_fake)
                if task.loss == "wasserstein":
                    loss_d = loss_d + penalty(lambda points: discriminator(points).score, real, fake.detach())
                loss_d.backward()
                optimizer_d.step()
            optimizer_g.zero_grad()
            z, fake = draw(len(real))
            of_fake = discriminator(fake)
            loss_g = GENERATOR[task.loss](of_fake.score) + misread(game, z, of_fake)
            loss_g.backward()
            optimizer_g.step()
            history.append((loss_d.item(), loss_g.item()))

    return play


def fast(game: Any, task: Task) -> Loop:
    """As fast as it can be written by hand: bf16, channels_last, fused Adam, bytes on the device, nothing read back."""
    generator, discriminator = (
        network.to(task.device, memory_format=torch.channels_last).train()
        for network in (game.generator, game.discriminator)
    )
    optimizer_g = torch.optim.Adam(generator.parameters(), task.lr, task.betas, fused=True)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), task.lr, task.betas, fused=True)
    of_g, of_d = list(generator.parameters()), list(discriminator.parameters())
    average = [parameter.detach().clone() for parameter in of_g]
    batches = gathered(task.images[0], task)
    mixes = any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())

    def call(network: nn.Module, samples: Tensor) -> Any:
        with torch.autocast(task.device.type, torch.bfloat16, enabled=task.bf16):
            output = network(samples)
        return output.float() if isinstance(output, Tensor) else map_output(output, Tensor.float)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        z = game.latent(count, task.device)
        return z, call(generator, z)

    def judge(real: Tensor, fake: Tensor) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        if mixes:
            return call(discriminator, real), call(discriminator, fake)
        both = call(discriminator, torch.cat([real, fake]))
        return map_output(both, lambda part: part.chunk(2)[0]), map_output(both, lambda part: part.chunk(2)[1])

    def play(steps: int) -> None:
        for _ in range(steps):
            for _ in range(task.critic_steps):
                real = next(batches)
                with torch.no_grad():
                    z, fake = draw(len(real))
                with cached():
                    of_real, of_fake = judge(real, fake)
                    loss = DISCRIMINATOR[task.loss](of_real.score, of_fake.score) + misread(game, z, of_fake)
                    if task.loss == "wasserstein":
                        loss = loss + penalty(lambda points: call(discriminator, points).score, real, fake)
                loss.backward(inputs=of_d)
                optimizer_d.step()
                optimizer_d.zero_grad()
            with cached():
                z, fake = draw(len(real))
                of_fake = call(discriminator, fake)
                loss = GENERATOR[task.loss](of_fake.score) + misread(game, z, of_fake)
            loss.backward(inputs=of_g)
            optimizer_g.step()
            optimizer_g.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(average, of_g, 0.005)

    return play


def plain_cyclegan(game: Any, task: Task) -> Loop:
    """CycleGAN as people write it."""
    return _cyclegan(game, task, fast=False)


def fast_cyclegan(game: Any, task: Task) -> Loop:
    """CycleGAN with every fast setting."""
    return _cyclegan(game, task, fast=True)


def _cyclegan(game: Any, task: Task, fast: bool) -> Loop:
    there, back = game.a_to_b.to(task.device).train(), game.b_to_a.to(task.device).train()
    judge_a, judge_b = game.discriminator_a.to(task.device).train(), game.discriminator_b.to(task.device).train()
    if fast:
        for network in (there, back, judge_a, judge_b):
            network.to(memory_format=torch.channels_last)
    of_g = [*there.parameters(), *back.parameters()]
    of_d = [*judge_a.parameters(), *judge_b.parameters()]
    optimizer_g = torch.optim.Adam(of_g, task.lr, task.betas, fused=fast)
    optimizer_d = torch.optim.Adam(of_d, task.lr, task.betas, fused=fast)
    source = gathered if fast else loaded
    batches_a, batches_b = (source(images, task) for images in task.images)
    pools = ImagePool(50), ImagePool(50)
    history = []

    def call(network: nn.Module, images: Tensor) -> Tensor:
        with torch.autocast(task.device.type, torch.bfloat16, enabled=fast and task.bf16):
            output = network(images)
        return (output.score if isinstance(output, DiscriminatorOutput) else output).float()

    def wants(score: Tensor, target: float) -> Tensor:
        return mse_loss(score, torch.full_like(score, target))

    def play(steps: int) -> None:
        for _ in range(steps):
            a, b = next(batches_a), next(batches_b)
            fake_b, fake_a = call(there, a), call(back, b)
            loss_g = (
                wants(call(judge_b, fake_b), 1.0)
                + wants(call(judge_a, fake_a), 1.0)
                + 10 * (l1_loss(call(back, fake_b), a) + l1_loss(call(there, fake_a), b))
                + 5 * (l1_loss(call(there, b), b) + l1_loss(call(back, a), a))
            )
            if fast:
                loss_g.backward(inputs=of_g)
            else:
                optimizer_g.zero_grad()
                for parameter in of_d:
                    parameter.requires_grad_(False)
                loss_g.backward()
                for parameter in of_d:
                    parameter.requires_grad_(True)
            optimizer_g.step()
            optimizer_g.zero_grad()
            loss_d = torch.zeros((), device=task.device)
            for judge, real, fake, pool in ((judge_a, a, fake_a, pools[0]), (judge_b, b, fake_b, pools[1])):
                old = pool(fake.detach())
                if fast:
                    of_real, of_fake = call(judge, torch.cat([real, old])).chunk(2)
                else:
                    of_real, of_fake = call(judge, real), call(judge, old)
                loss_d = loss_d + 0.5 * (wants(of_real, 1.0) + wants(of_fake, 0.0))
            loss_d.backward(inputs=of_d)
            optimizer_d.step()
            optimizer_d.zero_grad()
            if not fast:
                history.append((loss_d.item(), loss_g.item()))

    return play


class ImagePool:
    """The last fakes, as a list: with probability one half an old one takes a new one's place."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        """What a discriminator is shown in place of ``images``."""
        shown = []
        for image in images.split(1):
            if len(self.kept) < self.size:
                self.kept.append(image)
                shown.append(image)
            elif float(torch.rand(())) < 0.5:
                index = int(torch.randint(self.size, ()))
                shown.append(self.kept[index])
                self.kept[index] = image
            else:
                shown.append(image)
        return torch.cat(shown)


def mimicry(checkout: Path, model: str) -> Callable[[Game, Task], Loop]:
    """Mimicry's own training step and networks, in its own order of updates.

    Args:
        checkout: of its repository.
        model: ``sngan`` or ``wgan_gp``.
    """
    folder = checkout / "torch_mimicry"
    if not folder.is_dir():
        raise SystemExit(f"{checkout} is no checkout of mimicry: it has no folder torch_mimicry")

    def make(game: Game, task: Task) -> Loop:
        package = types.ModuleType("torch_mimicry")  # its own __init__ imports TensorFlow for the metrics
        package.__path__ = [str(folder)]
        nets = types.ModuleType("torch_mimicry.nets")
        nets.__path__ = [str(folder / "nets")]
        sys.modules |= {"torch_mimicry": package, "torch_mimicry.nets": nets}
        names = {"sngan": ("sngan.sngan_32", "SNGAN"), "wgan_gp": ("wgan_gp.wgan_gp_32", "WGANGP")}
        module_name, prefix = names[model]
        module = importlib.import_module(f"torch_mimicry.nets.{module_name}")
        generator = getattr(module, f"{prefix}Generator32")().to(task.device)
        discriminator = getattr(module, f"{prefix}Discriminator32")().to(task.device)
        optimizer_g = torch.optim.Adam(generator.parameters(), task.lr, task.betas)
        optimizer_d = torch.optim.Adam(discriminator.parameters(), task.lr, task.betas)
        batches = loaded(task.images[0], task)

        def play(steps: int) -> None:
            for _ in range(steps):
                told = Told()
                for index in range(task.critic_steps):
                    real = (next(batches), None)
                    if index == 0:
                        generator.train_step(
                            real_batch=real, netD=discriminator, optG=optimizer_g, log_data=told, device=task.device
                        )
                    discriminator.train_step(
                        real_batch=real, netG=generator, optD=optimizer_d, log_data=told, device=task.device
                    )

        return play

    return make


class Told(dict[str, float]):
    """Stands for the dictionary of losses that mimicry's steps fill in."""

    def add_metric(self, name: str, value: Any, group: str | None = None) -> None:
        """Read a value back, as mimicry's own log does."""
        self[name] = value.item() if isinstance(value, Tensor) else float(value)
