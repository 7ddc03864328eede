"""How often networks are called in a step, and that fakes from one pass are those of several."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from ganrun.core.types import Batch, DiscriminatorOutput
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.bigan import BiGAN
from ganrun.games.infogan import InfoGAN
from ganrun.games.simultaneous import SimultaneousGame
from ganrun.latents.coded import Coded
from ganrun.losses.base import Comparison
from ganrun.losses.hinge import Hinge
from ganrun.losses.objective import Objective
from ganrun.losses.terms.input_gradient import input_gradient
from ganrun.networks.ensemble import Ensemble

STEPS = 5


class Generator(nn.Module):
    """Points of latents, and of labels where there are some; counts the samples of every call."""

    def __init__(self, middle: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), middle or nn.Identity(), nn.Tanh(), nn.Linear(8, 2)).double()
        self.calls: list[int] = []
        self.graphs: list[bool] = []

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        self.calls.append(len(z))
        self.graphs.append(torch.is_grad_enabled())
        shift = 0 if condition is None else 3 * condition[:, None]
        return self.layers(z) + shift


class Discriminator(nn.Module):
    """A score, and a code as InfoGAN reads it."""

    def __init__(self, inputs: int = 2) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh()).double()
        self.head = nn.Linear(8, 1).double()
        self.code_head = nn.Linear(8, 5).double()

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = self.trunk(samples)
        shift = 0 if condition is None else condition
        return DiscriminatorOutput((self.head(features).flatten() + shift,), code=self.code_head(features))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 6).double()

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layer(samples)


class Prepared(Coded):
    """The same latents in the same order, however many are taken at once."""

    def __init__(self) -> None:
        super().__init__(size=6, categories=(3,), continuous=2)
        self.latents = super().__call__(200, torch.device("cpu")).double()
        self.taken = 0

    def __call__(self, count: int, device: torch.device) -> Tensor:
        self.taken += count
        return self.latents[self.taken - count : self.taken]


def make(kind: str, generator: nn.Module | None = None) -> AdversarialGame:
    torch.manual_seed(0)
    generator = generator or Generator()
    objective = Objective(Hinge(), None, {}, {}, STEPS, None, {})
    if kind == "infogan":
        return InfoGAN(generator, Discriminator(), Prepared(), objective, 1.0, 1.0, "both")
    if kind.startswith("bigan"):
        update = "simultaneous" if kind.endswith("simultaneous") else "alternating"
        return BiGAN(generator, Encoder(), Discriminator(8), Prepared(), objective, False, False, update, 0)
    classes = 3 if kind == "conditional" else 0
    game_type = SimultaneousGame if kind == "simultaneous" else AdversarialGame
    return game_type(generator, Discriminator(), Prepared(), objective, bool(classes), classes)


def batches() -> list[Batch]:
    """The last is smaller, as nothing here forbids."""
    draws = torch.Generator().manual_seed(5)
    return [
        Batch((torch.randn(size, 2, generator=draws, dtype=torch.float64),), torch.arange(size) % 3)
        for size in (8, 8, 8, 8, 6)
    ]


def losses(game: AdversarialGame) -> list[float]:
    """Of one step in which both players learn."""
    found = []
    for move in game.play(iter(batches())):
        for player, terms in move.items():
            parameters = [p for module in game.players()[player] for p in module.parameters()]
            loss = torch.stack(list(terms.values())).sum()
            found += [value.item() for value in terms.values()]
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.data -= 0.1 * gradient
    return found


@pytest.mark.parametrize("kind", ["plain", "conditional", "simultaneous", "infogan", "bigan", "bigan_simultaneous"])
def test_one_pass_gives_the_losses_of_several(monkeypatch, kind):
    monkeypatch.setattr(BiGAN, "report_reconstruction", lambda *_: None)  # calls the generator as well
    game = make(kind)
    found = losses(game)
    assert game.generator.calls == [38, 6]
    assert game.generator.graphs == [False, True]
    monkeypatch.setattr("ganrun.games.adversarial.passes_can_be_joined", lambda network: False)
    reference = make(kind)
    assert found == pytest.approx(losses(reference), rel=1e-6)
    assert reference.generator.calls == [8, 8, 8, 8, 6, 6]
    assert reference.generator.graphs == [False] * STEPS + [True]


@pytest.mark.parametrize(
    ("generator", "passes"),
    [
        (lambda: Generator(), 1),
        (lambda: Generator(nn.LayerNorm(8)), 1),
        (lambda: Generator(nn.Dropout(0.5)), 1),
        (lambda: Generator(nn.BatchNorm1d(8)), STEPS),
        (lambda: Generator(nn.BatchNorm1d(8, track_running_stats=False)), STEPS),
        (lambda: Generator(spectral_norm(nn.Linear(8, 8))), STEPS),
    ],
    ids=["plain", "layer_norm", "dropout", "batch_norm", "batch_norm_without_memory", "spectral_norm"],
)
def test_passes_are_joined_where_samples_are_alone_and_nothing_is_remembered(generator, passes):
    game = make("plain", generator())
    losses(game)
    assert len(game.generator.calls) == passes + 1


def test_every_batch_has_its_share_of_every_generator_of_an_ensemble():
    parts = [Generator(), Generator()]
    game = make("plain", Ensemble(parts))
    losses(game)
    assert parts[0].calls == parts[1].calls == [4, 4, 4, 4, 3, 3]


class WeightGradients(TorchDispatchMode):
    """Counts convolutions that are differentiated, and those of them with respect to their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.all = self.of_weights = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            self.all += 1
            self.of_weights += args[10][1]
        return func(*args, **(kwargs or {}))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LeakyReLU(0.2), nn.Conv2d(2, 1, 3))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput((self.layers(samples).mean((1, 2, 3)),))


def test_penalties_differentiate_with_respect_to_samples_only():
    real = torch.randn(2, 1, 8, 8)
    with WeightGradients() as seen:
        input_gradient(Comparison(Convolutions(), real, real), real)
    assert (seen.all, seen.of_weights) == (2, 0)


def test_a_generators_move_takes_no_gradient_of_the_discriminators_weights():
    discriminator, real = Convolutions(), torch.randn(2, 1, 8, 8)
    weight = nn.Parameter(torch.randn(2, 1, 8, 8))
    objective = Objective(Hinge(), None, {}, {}, 1, None, {})
    terms = objective.generator_terms(Comparison(discriminator, real, weight * real))
    with WeightGradients() as seen:
        torch.stack(list(terms.values())).sum().backward(inputs=[weight])
    assert (seen.all, seen.of_weights) == (2, 0)
