"""Training loops written by hand, to compare ``ganrun`` with: as people write them, and as fast as they can be written.

A loop is a function of a number of steps, which it plays; a step is ``critic_steps`` discriminator updates and one
generator update. All train networks that ``ganrun`` made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss, relu, softplus
from torch.nn.utils.parametrize import cached
from torch.utils.data import DataLoader, Dataset

from ganrun.core.types import DiscriminatorOutput
from ganrun.engine.cpu import keep_memory
from ganrun.games.image_pool import ImagePool
from ganrun.losses.base import map_output

Loop = Callable[[int], None]
Step = Callable[[Tensor], None]
"""One step on the images at ``[domain, discriminator update, image]``."""


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


def shuffled(task: Task) -> Iterator[Tensor]:
    """Indices of the images of every step, ``[domain, discriminator update, image]``, on the device."""
    total, taken = len(task.images[0]), task.critic_steps * task.batch_size
    while True:
        orders = torch.stack([torch.randperm(total, device=task.device) for _ in task.images])
        for first in range(0, total - taken + 1, taken):
            yield orders[:, first : first + taken].unflatten(1, (task.critic_steps, task.batch_size))


def gathered(images: Tensor, indices: Tensor) -> Tensor:
    """Some of the images, which are on the device as bytes."""
    return images.index_select(0, indices).float().div_(127.5).sub_(1).permute(0, 3, 1, 2)


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
    return _plain_cyclegan(game, task) if len(task.images) == 2 else _plain(game, task)


def fast(game: Any, task: Task) -> Loop:
    """As fast as it can be written by hand: bf16, channels_last, fused Adam, bytes on the device, nothing read back."""
    step, chosen = fast_step(game, task), shuffled(task)

    def play(steps: int) -> None:
        for _ in range(steps):
            step(next(chosen))

    return play


def captured(game: Any, task: Task) -> Loop:
    """:func:`fast` as one CUDA graph: a step costs the copy of its images' indices and one launch."""
    step, chosen = fast_step(game, task), shuffled(task)
    static = next(chosen).clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # algorithms are chosen and optimizers' states made before anything is captured
            step(static)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step(static)

    def play(steps: int) -> None:
        for _ in range(steps):
            static.copy_(next(chosen))
            graph.replay()

    return play


def fast_step(game: Any, task: Task) -> Step:
    """A step with every fast setting and no framework around it; nothing in it waits for the device."""
    if task.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    else:
        keep_memory()
    return _cyclegan_step(game, task) if len(task.images) == 2 else _two_player_step(game, task)


def _plain(game: Any, task: Task) -> Loop:
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


def _two_player_step(game: Any, task: Task) -> Step:
    generator, discriminator = (
        network.to(task.device, memory_format=torch.channels_last).train()
        for network in (game.generator, game.discriminator)
    )
    optimizer_g, optimizer_d = fused(generator.parameters(), task), fused(discriminator.parameters(), task)
    of_g, of_d = list(generator.parameters()), list(discriminator.parameters())
    average = [parameter.detach().clone() for parameter in of_g]
    held = task.images[0].to(task.device)
    mixes = any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())

    def call(network: nn.Module, samples: Tensor) -> Any:
        with torch.autocast(task.device.type, torch.bfloat16, enabled=task.bf16):
            output = network(samples)
        return output.float() if isinstance(output, Tensor) else map_output(output, Tensor.float)

    def draw() -> tuple[Tensor, Tensor]:
        z = game.latent(task.batch_size, task.device)
        return z, call(generator, z)

    def judge(real: Tensor, fake: Tensor) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        if mixes:
            return call(discriminator, real), call(discriminator, fake)
        both = call(discriminator, torch.cat([real, fake]))
        return map_output(both, lambda part: part.chunk(2)[0]), map_output(both, lambda part: part.chunk(2)[1])

    def step(chosen: Tensor) -> None:
        for indices in chosen[0]:
            real = gathered(held, indices)
            with torch.no_grad():
                z, fake = draw()
            with cached():
                of_real, of_fake = judge(real, fake)
                loss = DISCRIMINATOR[task.loss](of_real.score, of_fake.score) + misread(game, z, of_fake)
                if task.loss == "wasserstein":
                    loss = loss + penalty(lambda points: call(discriminator, points).score, real, fake)
            loss.backward(inputs=of_d)
            optimizer_d.step()
            optimizer_d.zero_grad()
        with cached():
            z, fake = draw()
            of_fake = call(discriminator, fake)
            loss = GENERATOR[task.loss](of_fake.score) + misread(game, z, of_fake)
        loss.backward(inputs=of_g)
        optimizer_g.step()
        optimizer_g.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(average, of_g, 0.005)

    return step


def fused(parameters: Any, task: Task) -> torch.optim.Optimizer:
    """Adam as one kernel, whose count of steps is on the device."""
    cuda = task.device.type == "cuda"
    return torch.optim.Adam(parameters, task.lr, task.betas, fused=True, capturable=cuda)


def wants(score: Tensor, target: float) -> Tensor:
    """Least squares."""
    return mse_loss(score, torch.full_like(score, target))


def translation_loss(
    call: Callable[[nn.Module, Tensor], Tensor], game: Any, a: Tensor, b: Tensor
) -> tuple[Tensor, ...]:
    """Loss of CycleGAN's translators, and what they made of ``b`` and ``a``."""
    fake_b, fake_a = call(game.a_to_b, a), call(game.b_to_a, b)
    loss = (
        wants(call(game.discriminator_b, fake_b), 1.0)
        + wants(call(game.discriminator_a, fake_a), 1.0)
        + 10 * (l1_loss(call(game.b_to_a, fake_b), a) + l1_loss(call(game.a_to_b, fake_a), b))
        + 5 * (l1_loss(call(game.a_to_b, b), b) + l1_loss(call(game.b_to_a, a), a))
    )
    return loss, fake_a.detach(), fake_b.detach()


def players_of(game: Any) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of CycleGAN's translators, and of its discriminators."""
    translators, judges = (game.a_to_b, game.b_to_a), (game.discriminator_a, game.discriminator_b)
    of_g, of_d = ([p for network in networks for p in network.parameters()] for networks in (translators, judges))
    return of_g, of_d


def pools_of(task: Task) -> tuple[ImagePool, ImagePool]:
    """A history of fakes for each domain."""
    height, width, channels = task.images[0].shape[1:]
    pool_a, pool_b = (ImagePool(50, (channels, height, width)).to(task.device) for _ in "ab")
    return pool_a, pool_b


def _plain_cyclegan(game: Any, task: Task) -> Loop:
    game.to(task.device).train()
    of_g, of_d = players_of(game)
    optimizer_g = torch.optim.Adam(of_g, task.lr, task.betas)
    optimizer_d = torch.optim.Adam(of_d, task.lr, task.betas)
    batches_a, batches_b = (loaded(images, task) for images in task.images)
    pool_a, pool_b = pools_of(task)
    history = []

    def call(network: nn.Module, images: Tensor) -> Tensor:
        output = network(images)
        return output.score if isinstance(output, DiscriminatorOutput) else output

    def play(steps: int) -> None:
        for _ in range(steps):
            a, b = next(batches_a), next(batches_b)
            optimizer_g.zero_grad()
            for parameter in of_d:
                parameter.requires_grad_(False)
            loss_g, fake_a, fake_b = translation_loss(call, game, a, b)
            loss_g.backward()
            optimizer_g.step()
            for parameter in of_d:
                parameter.requires_grad_(True)
            optimizer_d.zero_grad()
            loss_d = torch.zeros((), device=task.device)
            for judge, real, fake in (
                (game.discriminator_a, a, pool_a(fake_a)),
                (game.discriminator_b, b, pool_b(fake_b)),
            ):
                loss_d = loss_d + 0.5 * (wants(call(judge, real), 1.0) + wants(call(judge, fake), 0.0))
            loss_d.backward()
            optimizer_d.step()
            history.append((loss_d.item(), loss_g.item()))

    return play


def _cyclegan_step(game: Any, task: Task) -> Step:
    game.to(task.device, memory_format=torch.channels_last).train()
    of_g, of_d = players_of(game)
    optimizer_g, optimizer_d = fused(of_g, task), fused(of_d, task)
    held_a, held_b = (images.to(task.device) for images in task.images)
    pool_a, pool_b = pools_of(task)

    def call(network: nn.Module, images: Tensor) -> Tensor:
        with torch.autocast(task.device.type, torch.bfloat16, enabled=task.bf16):
            output = network(images)
        return (output.score if isinstance(output, DiscriminatorOutput) else output).float()

    def step(chosen: Tensor) -> None:
        a, b = gathered(held_a, chosen[0, 0]), gathered(held_b, chosen[1, 0])
        loss, fake_a, fake_b = translation_loss(call, game, a, b)
        loss.backward(inputs=of_g)
        optimizer_g.step()
        optimizer_g.zero_grad()
        loss = torch.zeros((), device=task.device)
        for judge, real, fake in (
            (game.discriminator_a, a, pool_a(fake_a)),
            (game.discriminator_b, b, pool_b(fake_b)),
        ):
            of_real, of_fake = call(judge, torch.cat([real, fake])).chunk(2)
            loss = loss + 0.5 * (wants(of_real, 1.0) + wants(of_fake, 0.0))
        loss.backward(inputs=of_d)
        optimizer_d.step()
        optimizer_d.zero_grad()

    return step
