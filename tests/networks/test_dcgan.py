"""DCGAN and fully connected networks: parameter counts of the published layouts, shapes, options."""

from __future__ import annotations

import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.losses.base import couples_samples
from ganrun.networks.dcgan import Discriminator, Generator
from ganrun.networks.layers.condition import ConditionalNorm
from ganrun.networks.mlp import Discriminator as MLPDiscriminator
from ganrun.networks.mlp import Generator as MLPGenerator

MINIBATCH = {"minibatch": "none", "minibatch_kernels": 6, "minibatch_kernel_size": 2, "minibatch_group": 2}


def generator(size, channels, latent_size=100, width=64, **changes):
    options = {"norm": "batch", "reference_size": 7, "spectral": False, "init": "normal"}
    options |= {"conditional": False, "conditioning": "concat", "classes": 0}
    return Generator(latent_size=latent_size, width=width, size=size, channels=channels, **options | changes)


def discriminator(size, channels, width=64, **changes):
    options = MINIBATCH | {"norm": "batch", "bias": False, "spectral": False, "init": "normal"}
    options |= {"conditional": False, "conditioning": "concat", "classes": 0}
    return Discriminator(width=width, size=size, channels=channels, **options | changes)


def mlp_generator(shape, latent_size=100, widths=(128, 256, 512, 1024), **changes):
    options = {"norm": "batch", "reference_size": 7, "spectral": False, "init": "default", "activation": "leaky_relu"}
    options |= {"output": "tanh", "conditional": False, "conditioning": "concat", "classes": 0}
    return MLPGenerator(latent_size=latent_size, widths=widths, shape=shape, **options | changes)


def mlp_discriminator(shape, widths=(512, 256), **changes):
    options = MINIBATCH | {"spectral": False, "init": "default", "activation": "leaky_relu"}
    options |= {"conditional": False, "conditioning": "concat", "classes": 0}
    return MLPDiscriminator(widths=widths, shape=shape, **options | changes)


SHAPE = (1, 16, 16)
GENERATORS = {
    "dcgan": lambda **options: generator(16, 1, 8, 4, **options),
    "mlp": lambda **options: mlp_generator(SHAPE, 8, (12, 10), **options),
}
DISCRIMINATORS = {
    "dcgan": lambda **options: discriminator(16, 1, 4, **{"norm": "none"} | options),
    "mlp": lambda **options: mlp_discriminator(SHAPE, (12, 10), **options),
}
each_generator = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
each_discriminator = pytest.mark.parametrize("make", DISCRIMINATORS.values(), ids=DISCRIMINATORS)


@pytest.mark.parametrize(
    ("size", "channels", "generator_count", "with_norm", "without"),
    [
        (16, 3, 339_328, 136_448, 136_192),
        (32, 1, 1_066_880, 661_248, 660_480),
        (32, 3, 1_068_928, 663_296, 662_528),
        (64, 1, 3_574_656, 2_763_520, 2_761_728),
        (64, 3, 3_576_704, 2_765_568, 2_763_776),
        (128, 3, 12_786_560, 11_164_416, 11_160_576),
    ],
)
def test_parameter_counts(size, channels, generator_count, with_norm, without):
    with torch.device("meta"):
        assert parameter_count(generator(size, channels)) == generator_count
        assert parameter_count(discriminator(size, channels)) == with_norm
        assert parameter_count(discriminator(size, channels, norm="none")) == without
        assert parameter_count(discriminator(size, channels, norm="none", spectral=True)) == without


def test_small_parameter_counts():
    assert parameter_count(generator(16, 3, 32, 16)) == 25_440
    assert parameter_count(discriminator(16, 3, width=16)) == 9_536


def test_shapes_and_range():
    images = generator(16, 3, 8, 4)(torch.randn(5, 8))
    assert images.shape == (5, 3, 16, 16)
    assert images.abs().max() <= 1
    output = discriminator(16, 3, width=4)(images)
    assert output.score.shape == (5,)
    assert [tuple(feature.shape) for feature in output.features] == [(5, 4, 8, 8), (5, 8, 4, 4)]


@pytest.mark.parametrize("size", [4, 12, 33])
def test_refuses_other_sizes(size):
    with pytest.raises(ValueError, match=f"got {size}"):
        generator(size, 3)


@each_generator
@pytest.mark.parametrize("conditioning", ["concat", "batch_norm"])
def test_labels_change_what_the_generator_makes(make, conditioning):
    torch.manual_seed(0)
    network = make(conditional=True, conditioning=conditioning, classes=3).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ConditionalNorm):
                module.gain.normal_(1, 0.5)
    z, labels = torch.randn(2, 8), torch.tensor([0, 1])
    assert not torch.equal(network(z, labels), network(z, labels.flip(0)))
    with pytest.raises(ValueError, match="was given no labels"):
        network(z)


@each_generator
def test_conditional_norm_starts_as_the_plain_one(make):
    torch.manual_seed(0)
    plain = make(init="orthogonal")
    torch.manual_seed(0)
    conditional = make(init="orthogonal", conditional=True, conditioning="batch_norm", classes=3)
    z, labels = torch.randn(6, 8), torch.arange(6) % 3
    torch.testing.assert_close(conditional(z, labels), plain(z))
    norms = sum(2 * module.gain.shape[1] for module in conditional.modules() if isinstance(module, ConditionalNorm))
    assert norms > 0
    assert parameter_count(conditional) - parameter_count(plain) == norms * (3 - 1)


@each_generator
def test_conditional_norm_needs_a_norm(make):
    with pytest.raises(ValueError, match="norm is none"):
        make(norm="none", conditional=True, conditioning="batch_norm", classes=3)


@each_discriminator
def test_labels_as_input(make):
    torch.manual_seed(0)
    network = make(conditional=True, classes=3)
    images, labels = torch.randn(2, *SHAPE), torch.tensor([0, 1])
    assert not torch.equal(network(images, labels).score, network(images, labels.flip(0)).score)
    with pytest.raises(ValueError, match="was given no labels"):
        network(images)


@each_discriminator
@pytest.mark.parametrize("spectral", [False, True])
def test_projection_of_zero_embeddings_is_the_unconditional_score(make, spectral):
    torch.manual_seed(0)
    network = make(conditional=True, conditioning="projection", classes=3, spectral=spectral).eval()
    images, labels = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 1])
    output = network(images, labels)
    features = output.features[-1]
    pooled = features if features.ndim == 2 else features.sum((2, 3))
    expected = (network.projection.embedding.weight[labels] * pooled).sum(1)
    table = network.projection.embedding
    with torch.no_grad():
        (table.parametrizations.weight.original if spectral else table.weight).zero_()
    unconditional = network(images, labels).score
    torch.testing.assert_close(output.score - unconditional, expected)
    assert torch.equal(unconditional, network(images, labels.flip(0)).score)


@each_discriminator
def test_classifier_leaves_the_score_alone(make):
    torch.manual_seed(0)
    plain = make()
    network = make(conditional=True, conditioning="classifier", classes=3)
    network.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(4, *SHAPE)
    output = network(images, torch.tensor([0, 1, 2, 1]))
    assert output.class_logits.shape == (4, 3)
    assert torch.equal(output.score, plain(images).score)
    assert plain(images).class_logits is None


@each_discriminator
@pytest.mark.parametrize("conditioning", ["concat", "projection", "classifier"])
def test_conditioning_of_an_unconditional_network_changes_nothing(make, conditioning):
    torch.manual_seed(0)
    plain = make()
    torch.manual_seed(0)
    network = make(conditioning=conditioning, classes=3)
    images = torch.randn(2, *SHAPE)
    assert torch.equal(network(images).score, plain(images).score)


@each_discriminator
@pytest.mark.parametrize("minibatch", ["discrimination", "stddev"])
def test_minibatch_layers_see_the_batch_and_leave_the_features(make, minibatch):
    torch.manual_seed(0)
    network, plain = make(minibatch=minibatch), make()
    assert couples_samples(network)
    assert not couples_samples(plain)
    images = torch.randn(4, *SHAPE)
    other = torch.cat([images[:2], torch.zeros(2, *SHAPE)])
    one, two = network(images), network(other)
    assert not torch.allclose(one.score[:2], two.score[:2], rtol=0, atol=1e-7)
    torch.testing.assert_close(one.features[-1][:2], two.features[-1][:2])
    assert [feature.shape for feature in one.features] == [feature.shape for feature in plain(images).features]


@each_discriminator
def test_minibatch_layers_let_penalties_through(make):
    """Their second derivatives exist: R1 beside minibatch stddev is common practice."""
    for minibatch in ("discrimination", "stddev"):
        network = make(minibatch=minibatch)
        images = torch.randn(4, *SHAPE, requires_grad=True)
        (slope,) = torch.autograd.grad(network(images).score.sum(), images, create_graph=True)
        slope.square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@each_generator
@pytest.mark.parametrize("conditioning", [None, "concat", "batch_norm"])
def test_virtual_batch_norm_keeps_samples_apart(make, conditioning):
    torch.manual_seed(0)
    labels = None if conditioning is None else torch.tensor([0, 2, 1, 1, 0])
    network = make(norm="virtual", conditional=bool(conditioning), conditioning=conditioning or "concat", classes=3)
    z = torch.randn(5, 8)
    alone = network(z[:2], None if labels is None else labels[:2])
    together = network(z, labels)
    assert together.shape == (5, *SHAPE)
    torch.testing.assert_close(together[:2], alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network.eval()(z, labels), together)
    assert "reference.latents" in network.state_dict()
    assert parameter_count(network) == parameter_count(
        make(conditional=bool(conditioning), conditioning=conditioning or "concat", classes=3)
    )


def test_spectral_normalisation_bounds_every_layer():
    torch.manual_seed(0)
    options = {"conditional": True, "conditioning": "projection", "classes": 3}
    networks = [discriminator(16, 1, 4, norm="none", spectral=True, **options), generator(16, 1, 8, 4, spectral=True)]
    for _ in range(30):
        networks[0](torch.randn(2, 1, 16, 16), torch.tensor([0, 1]))
        networks[1](torch.randn(2, 8))
    checked = 0
    for module in [module for network in networks for module in network.modules()]:
        if hasattr(module, "parametrizations"):
            weight = module.weight.transpose(0, 1) if isinstance(module, torch.nn.ConvTranspose2d) else module.weight
            assert torch.linalg.matrix_norm(weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=0.02)
            checked += 1
    assert checked == 4 + 3


@pytest.mark.parametrize("make", [*GENERATORS.values(), *DISCRIMINATORS.values()])
def test_orthogonal_initialisation(make):
    network = make(init="orthogonal")
    for module in network.modules():
        if hasattr(module, "weight") and module.weight is not None and module.weight.ndim > 1:
            weight = module.weight.transpose(0, 1) if isinstance(module, torch.nn.ConvTranspose2d) else module.weight
            matrix = weight.flatten(1)
            gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
            torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "generator_count", "discriminator_count"),
    [
        ((1, 28, 28), 1_510_032, 533_505),
        ((1, 32, 32), 1_756_032, 656_385),
        ((3, 32, 32), 3_855_232, 1_704_961),
    ],
)
def test_mlp_parameter_counts(shape, generator_count, discriminator_count):
    make, judge = mlp_generator(shape), mlp_discriminator(shape)
    assert (parameter_count(make), parameter_count(judge)) == (generator_count, discriminator_count)
    images = make(torch.randn(2, 100))
    assert images.shape == (2, *shape)
    assert judge(images).score.shape == (2,)


def test_toy_parameter_counts():
    make = mlp_generator((2,), 2, [128] * 3, norm="none", activation="relu", output="linear")
    judge = mlp_discriminator((2,), [128] * 3, activation="relu")
    assert (parameter_count(make), parameter_count(judge)) == (33_666, 33_537)
    assert judge(make(torch.randn(4, 2))).score.shape == (4,)


@pytest.mark.parametrize(("bias", "homogeneous"), [(False, True), (True, False)])
def test_without_norm_and_biases_a_score_grows_with_its_image(bias, homogeneous):
    network = discriminator(16, 1, 4, norm="none", bias=bias)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = torch.randn(5, 1, 16, 16)
    assert torch.allclose(network(3 * images).score, 3 * network(images).score, rtol=1e-4) == homogeneous


def test_auto_must_have_been_resolved():
    with pytest.raises(ValueError, match="bias=auto was never resolved"):
        discriminator(16, 1, bias="auto")
