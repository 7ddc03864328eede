"""Autoencoding discriminators, and the ensemble of generators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.core.types import parameter_count
from ganrun.networks.autoencoder import DenseDiscriminator, Discriminator, reconstruction_error
from ganrun.networks.ensemble import Ensemble
from ganrun.networks.mlp import Generator


def convolutional(size=16, width=4, layers=2, **changes):
    options = {"norm": "none", "init_std": 0.1, "energy": "mean_square", "conditional": False, "classes": 3}
    return Discriminator(width=width, layers=layers, size=size, channels=3, **options | changes)


def dense(shape=(3, 16, 16), widths=(12, 5), **changes):
    options = {"activation": "relu", "energy": "mean_square", "conditional": False, "classes": 3}
    return DenseDiscriminator(widths=widths, shape=shape, **options | changes)


each = pytest.mark.parametrize("make", [convolutional, dense])


def test_counts():
    with torch.device("meta"):
        assert parameter_count(convolutional(64, 64, 3, norm="batch")) == 1_318_083
    assert parameter_count(dense((2,), (8, 3))) == (2 * 8 + 8) + (8 * 3 + 3) + (3 * 8 + 8) + (8 * 2 + 2)


@each
@pytest.mark.parametrize("energy", ["mean_square", "mean_absolute", "norm"])
def test_the_score_is_minus_the_error_of_the_reconstruction(make, energy):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    output = make(energy=energy)(images)
    assert output.reconstruction.shape == images.shape
    squares = (output.reconstruction - images).square().sum((1, 2, 3))
    absolute = (output.reconstruction - images).abs().mean((1, 2, 3))
    expected = {"mean_square": squares / 768, "mean_absolute": absolute, "norm": squares.sqrt()}[energy]
    torch.testing.assert_close(output.score, -expected)
    assert output.features[-1].flatten(1).shape[1] == (8 * 4 * 4 if make is convolutional else 5)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_sizes(size):
    output = convolutional(size, 4, 3, norm="batch")(torch.randn(2, 3, size, size))
    assert output.reconstruction.shape == (2, 3, size, size)
    assert output.features[-1].shape == (2, 16, size // 8, size // 8)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="layers=3 needs a size divisible by 8; got 20"):
        convolutional(20, 4, 3)


@pytest.mark.parametrize("energy", ["mean_square", "norm"])
def test_gradients_flow_through_input_and_target(energy):
    """For a reconstruction A x: the gradient of ``‖A x - x‖²`` holds ``A - 1``, and without the target only A."""
    matrix = torch.randn(3, 3, dtype=torch.float64)
    x = torch.randn(1, 3, dtype=torch.float64, requires_grad=True)
    value = reconstruction_error(x, x @ matrix.T, energy)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    residual = (matrix - torch.eye(3)) @ x[0].detach()
    scale = 2 / 3 if energy == "mean_square" else 1 / residual.norm()
    torch.testing.assert_close(gradient[0], scale * (matrix - torch.eye(3)).T @ residual)


def test_energies_are_float32_under_autocast_and_finite_at_zero():
    network = convolutional()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(2, 3, 16, 16)).score.dtype == torch.float32
    x = torch.zeros(2, 3, requires_grad=True)
    reconstruction_error(x, x * 0.5, "norm").sum().backward()
    assert torch.equal(x.grad, torch.zeros(2, 3))


@each
def test_labels_enter_the_decoder_only(make):
    torch.manual_seed(0)
    network = make(conditional=True)
    images, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    one, two = network(images, labels), network(images, labels.flip(0))
    assert not torch.equal(one.score, two.score)
    assert torch.equal(one.features[-1], two.features[-1])


def test_points():
    output = dense((2,), (8, 3), activation="leaky_relu")(torch.randn(5, 2))
    assert output.reconstruction.shape == (5, 2)
    assert output.features[-1].shape == (5, 3)


def generator():
    options = {"norm": "none", "reference_size": 1, "spectral": False, "init": "default", "activation": "relu"}
    options |= {"output": "linear", "conditional": True, "conditioning": "concat", "classes": 3}
    return Generator(latent_size=2, widths=[8], shape=(2,), **options)


def test_an_ensemble_of_one_is_its_generator():
    torch.manual_seed(0)
    plain, z, labels = generator(), torch.randn(5, 2), torch.tensor([0, 1, 2, 0, 1])
    torch.manual_seed(3)
    expected, following = plain(z, labels), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(Ensemble([plain])(z, labels), expected)
    assert torch.equal(torch.rand(1), following)


class Constant(nn.Module):
    """Makes its own number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, z, condition=None):
        return self.number + 0 * z


def test_parts_are_nearly_equal_and_every_generator_learns_from_its_own():
    torch.manual_seed(0)
    network = Ensemble([Constant(float(k)) for k in range(4)])
    samples = network(torch.zeros(10, 1))
    assert sorted(samples.flatten().int().bincount().tolist()) == [2, 2, 3, 3]
    samples.sum().backward()
    shares = [generator.number.grad.item() for generator in network.generators]
    assert shares == samples.flatten().int().bincount().tolist()


def test_every_generator_makes_every_position_equally_often():
    torch.manual_seed(0)
    network = Ensemble([Constant(float(k)) for k in range(4)])
    draws = 2000
    counts = torch.zeros(5, 4)
    for _ in range(draws):
        counts[torch.arange(5), network(torch.zeros(5, 1)).flatten().long()] += 1
    expected = draws / 4
    chi_square = ((counts - expected) ** 2 / expected).sum(1)
    assert chi_square.max() < 16.3  # 0.1 % point with 3 degrees of freedom


def test_any_part_of_a_batch_is_from_all_generators():
    """Scores of the first samples, and pictures of one class, would show a single generator otherwise."""
    torch.manual_seed(0)
    network = Ensemble([Constant(float(k)) for k in range(4)])
    samples = network(torch.zeros(2000, 1)).flatten().long()
    for part in (slice(0, 500), slice(0, None, 4)):
        assert samples[part].bincount(minlength=4).min() > 90


def test_every_sample_is_made_of_its_own_latent():
    torch.manual_seed(0)
    network, numbers = Ensemble([Constant(0.0) for _ in range(3)]), torch.arange(50.0)[:, None]
    for generator in network.generators:
        generator.forward = lambda z, condition: z + 100 * condition[:, None]
    assert torch.equal(network(numbers, torch.arange(50)), 101 * numbers)


def test_labels_go_with_their_samples_and_small_batches_work():
    torch.manual_seed(0)
    network = Ensemble([generator()] * 3)
    z, labels = torch.randn(2, 2), torch.tensor([0, 2])
    torch.testing.assert_close(network(z, labels), network.generators[0](z, labels))
