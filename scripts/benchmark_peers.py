"""Other frameworks' own training steps, run from checkouts that the command line names. Nothing of theirs is here."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import itertools
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmark_loops import Loop, Task, loaded
from torch import Tensor, nn

MIMICRY = {"sngan": ("sngan.sngan_32", "SNGAN"), "wgan_gp": ("wgan_gp.wgan_gp_32", "WGANGP")}
"""Workload -> mimicry's module and the prefix of its classes."""

PYTORCH_GAN = {
    "dcgan": "dcgan/dcgan.py",
    "wgan_gp": "wgan_gp/wgan_gp.py",
    "infogan": "infogan/infogan.py",
    "cyclegan": "cyclegan/cyclegan.py",
}
"""Workload -> script of PyTorch-GAN."""


def mimicry(checkout: Path, workload: str, task: Task) -> Loop:
    """Mimicry's own training step and networks, in its own order of updates.

    Args:
        checkout: of kwotsin/mimicry.
        workload: a key of :data:`MIMICRY`.
        task: batch, learning rate, device.
    """
    folder = existing(checkout / "torch_mimicry", "mimicry")
    package = types.ModuleType("torch_mimicry")  # its own __init__ imports TensorFlow for the metrics
    package.__path__ = [str(folder)]
    nets = types.ModuleType("torch_mimicry.nets")
    nets.__path__ = [str(folder / "nets")]
    sys.modules |= {"torch_mimicry": package, "torch_mimicry.nets": nets}
    module_name, prefix = MIMICRY[workload]
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


class Told(dict[str, float]):
    """Stands for the dictionary of losses that mimicry's steps fill in."""

    def add_metric(self, name: str, value: Any, group: str | None = None) -> None:
        """Read a value back, as mimicry's own log does."""
        self[name] = value.item() if isinstance(value, Tensor) else float(value)


def pytorch_gan(checkout: Path, workload: str, task: Task, game: Any = None) -> Loop:
    """A script of PyTorch-GAN: all before its loop over the batches once, and the loop's body for every batch.

    The script's own code runs, with our batches in place of its data loaders, and without its pictures. What it prints
    goes nowhere. It runs in the current folder, where it makes folders for its pictures.

    Args:
        checkout: of eriklindernoren/PyTorch-GAN.
        workload: a key of :data:`PYTORCH_GAN`.
        task: batch, learning rate, device.
        game: its networks take the place of the script's, behind the same interface; ``None``: the script's own.
    """
    path = existing(checkout / "implementations" / PYTORCH_GAN[workload], "PyTorch-GAN")
    ours = {} if game is None else networks_as_theirs(game, workload)
    before, body = setup_and_step(ast.parse(path.read_text()), skipped=set(ours) | {"dataloader", "val_dataloader"})
    batch = batches_of_ours(workload, task)
    numbers = itertools.count(1)
    names: dict[str, Any] = {"__name__": "__main__", "epoch": 0, "dataloader": range(10**6), **ours}
    sys.argv = [str(path), *arguments(workload, task, game)]
    sys.path.insert(0, str(path.parent))
    quiet(lambda: exec(before, names))

    def play(steps: int) -> None:
        for _ in range(steps * task.critic_steps):
            names["item"] = next(numbers), next(batch)
            exec(body, names)

    return lambda steps: quiet(lambda: play(steps))


def existing(path: Path, name: str) -> Path:
    """The path, if it is there."""
    if not path.exists():
        raise SystemExit(f"this is no checkout of {name}: there is no {path}")
    return path


def setup_and_step(tree: ast.Module, skipped: set[str]) -> tuple[types.CodeType, types.CodeType]:
    """Code of a script before its loop over epochs, and of the body of the loop over batches in that.

    Args:
        tree: of the script.
        skipped: classes and variables that are not defined; they have other values.
    """
    (over_epochs,) = (node for node in tree.body if isinstance(node, ast.For))
    (over_batches,) = (node for node in over_epochs.body if isinstance(node, ast.For))
    before = [node for node in tree.body[: tree.body.index(over_epochs)] if not names_defined(node) & skipped]
    item = ast.Assign(targets=[over_batches.target], value=ast.Name("item", ast.Load()))
    parts = (ast.Module(body, []) for body in (before, [item, *over_batches.body]))
    setup, step = (compile(ast.fix_missing_locations(part), "<script>", "exec") for part in parts)
    return setup, step


def names_defined(node: ast.stmt) -> set[str]:
    """What a statement at the top of a script defines."""
    if isinstance(node, ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def arguments(workload: str, task: Task, game: Any) -> list[str]:
    """Command line of a script: our batch, resolution and optimizer, and no pictures."""
    size, channels = task.images[0].shape[2], task.images[0].shape[3]
    side = {"--img_height": size, "--img_width": size} if workload == "cyclegan" else {"--img_size": size}
    given = {"--batch_size": task.batch_size, "--lr": task.lr, "--b1": task.betas[0], "--b2": task.betas[1]} | side
    given |= {"--channels": channels, "--sample_interval": 10**9}
    given |= {"--n_residual_blocks": 6} if workload == "cyclegan" else {}
    given |= {"--n_critic": task.critic_steps} if workload == "wgan_gp" else {}
    if game is not None and workload in ("dcgan", "wgan_gp"):
        given["--latent_dim"] = game.latent.size
    return [str(part) for pair in given.items() for part in pair]


def batches_of_ours(workload: str, task: Task) -> Iterator[Any]:
    """What the scripts' data loaders give, from the images that all loops have."""
    streams = [loaded(images, task) for images in task.images]
    labels = torch.zeros(task.batch_size, dtype=torch.long)
    while True:
        images = [next(stream) for stream in streams]
        yield {"A": images[0], "B": images[1]} if workload == "cyclegan" else (images[0], labels)


def quiet(act: Callable[[], None]) -> None:
    """Without what is printed, and without warnings of features that are old."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        act()


def networks_as_theirs(game: Any, workload: str) -> dict[str, Any]:
    """Names of a script's classes -> what makes networks of ``game`` that are called as the script's are."""
    made = {"dcgan": Probability, "wgan_gp": Score, "infogan": Codes}[workload]
    return {"Generator": lambda: Joined(game.generator), "Discriminator": lambda: made(game.discriminator)}


class Joined(nn.Module):
    """A generator whose latent comes in parts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *parts: Tensor) -> Tensor:
        """Images of latents."""
        image: Tensor = self.network(torch.cat(parts, 1))
        return image


class Score(Joined):
    """A discriminator that returns its score, ``[B, 1]``."""

    def forward(self, *parts: Tensor) -> Any:
        """Judge images."""
        return self.network(*parts).score[:, None]


class Probability(Score):
    """A discriminator that returns a probability, ``[B, 1]``."""

    def forward(self, *parts: Tensor) -> Any:
        """Judge images."""
        return super().forward(*parts).sigmoid()


class Codes(Joined):
    """A discriminator that also reads off one categorical and the continuous codes."""

    def forward(self, *parts: Tensor) -> Any:
        """Judge images."""
        output = self.network(*parts)
        categorical, continuous = output.code[:, :10], output.code[:, 10:]
        return output.score[:, None], categorical.softmax(1), continuous
