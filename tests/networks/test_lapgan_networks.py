"""Networks of LAPGAN against the published sizes and by hand."""

from __future__ import annotations

import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks.lapgan import ClassPlane, CoarsestDiscriminator, CoarsestGenerator, Discriminator, Generator


def coarsest(classes: int, size: int = 8) -> tuple[CoarsestGenerator, CoarsestDiscriminator]:
    facts = {"conditional": classes > 0, "size": size, "channels": 3, "classes": classes}
    return (
        CoarsestGenerator(100, [1200, 1200], spectral=False, init="default", **facts),
        CoarsestDiscriminator([600, 600], dropout=0.5, spectral=False, init="default", **facts),
    )


def finer(
    classes: int, width: int = 64, size: int = 32, kernel: int = 5, dropout: float = 0.5
) -> tuple[Generator, Discriminator]:
    facts = {"conditional": classes > 0, "size": size, "channels": 3, "classes": classes}
    return (
        Generator(width, spectral=False, init="default", **facts),
        Discriminator(width, kernel, dropout, spectral=False, init="default", **facts),
    )


def counts(networks: tuple[torch.nn.Module, ...]) -> tuple[int, ...]:
    return tuple(parameter_count(network) for network in networks)


@pytest.mark.parametrize(("classes", "published"), [(0, (1_792_992, 477_001)), (10, (1_804_992, 483_001))])
def test_parameter_counts_of_the_coarsest_level(classes, published):
    with torch.device("meta"):
        assert counts(coarsest(classes)) == published


@pytest.mark.parametrize(
    ("width", "classes", "published"),
    [(64, 0, (218_179, 116_545)), (128, 0, (837_763, 437_889)), (64, 10, (232_579, 129_409))],
)
def test_parameter_counts_of_a_finer_level(width, classes, published):
    with torch.device("meta"):
        assert counts(finer(classes, width)) == published


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("size", [9, 14, 16, 28, 33])
def test_finer_networks_take_every_size_from_9(classes, size):
    generator, discriminator = finer(classes, 4, size)
    images, labels = torch.rand(2, 3, size, size), torch.tensor([0, 2]) if classes else None
    assert generator(torch.rand(2, size**2), labels, images).shape == images.shape
    output = discriminator(images, labels)
    assert output.score.shape == (2,)
    assert [feature.shape[1:3] for feature in output.features] == [(4, size - 4), (4, (size - 9) // 2 + 1)]


def test_smaller_images_need_smaller_kernels():
    with pytest.raises(ValueError, match=r"kernel 5 .* levels of 9 pixels .* there is one of 8"):
        finer(0, size=8)
    _, discriminator = finer(0, 4, size=8, kernel=3)
    assert discriminator(torch.rand(2, 3, 8, 8)).score.shape == (2,)


@pytest.mark.parametrize("classes", [0, 3])
def test_coarsest_networks(classes):
    generator, discriminator = coarsest(classes, size=7)
    labels = torch.tensor([0, 2]) if classes else None
    images = generator(torch.rand(2, 100), labels)
    assert images.shape == (2, 3, 7, 7)
    assert images.abs().max() <= 1
    output = discriminator(images, labels)
    assert output.score.shape == (2,)
    assert [feature.shape for feature in output.features] == [(2, 600), (2, 600)]


def test_every_class_has_its_own_plane():
    plane = ClassPlane(3, 4)
    torch.nn.init.zeros_(plane.picture.bias)
    images, labels = torch.rand(2, 1, 4, 4), torch.tensor([2, 0])
    shown = plane(images, labels)
    assert torch.equal(shown[:, :1], images)
    assert torch.equal(shown[:, 1].flatten(1), plane.picture.weight.T[labels].relu())
    assert torch.equal(ClassPlane(0, 4)(images, None), images)
    with pytest.raises(ValueError, match="given no labels"):
        plane(images, None)


def test_noise_labels_and_image_reach_the_residual():
    torch.manual_seed(0)
    generator, _ = finer(3, 4, 16)
    z, labels, images = torch.rand(2, 256), torch.tensor([0, 1]), torch.rand(2, 3, 16, 16)
    residual = generator(z, labels, images)
    for changed in ((z.flip(1), labels, images), (z, labels + 1, images), (z, labels, images.flip(1))):
        assert not torch.allclose(residual, generator(*changed))


@pytest.mark.parametrize("make", [lambda: coarsest(0)[1], lambda: finer(0, 4, 9)[1]])
def test_drop_out_draws_in_training_only(make):
    torch.manual_seed(0)
    discriminator = make()
    images = torch.rand(2, *((3, 8, 8) if isinstance(discriminator, CoarsestDiscriminator) else (3, 9, 9)))
    assert not torch.equal(discriminator(images).score, discriminator(images).score)
    discriminator.eval()
    assert torch.equal(discriminator(images).score, discriminator(images).score)


def test_all_weights_are_normalised_on_demand():
    torch.manual_seed(0)
    facts = {"conditional": True, "channels": 3, "classes": 3}
    networks = [
        CoarsestGenerator(8, [16], spectral=True, init="orthogonal", size=8, **facts),
        CoarsestDiscriminator([16], dropout=0.0, spectral=True, init="orthogonal", size=8, **facts),
        Generator(4, spectral=True, init="orthogonal", size=16, **facts),
        Discriminator(4, 5, 0.0, spectral=True, init="orthogonal", size=16, **facts),
    ]
    for network in networks:
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                matrix = module.weight.flatten(1)
                assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=1e-3)
