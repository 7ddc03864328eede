"""SAGAN, BigGAN, BigGAN-deep and the layers that only they have."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from ganrun.core.types import parameter_count
from ganrun.engine import precision
from ganrun.losses.base import couples_samples
from ganrun.networks import biggan, biggan_deep
from ganrun.networks.layers.attention import SelfAttention
from ganrun.networks.layers.condition import VectorConditionalNorm

G_FACTORS = {"32": [4] * 4, "64": [16, 16, 8, 4, 2], "128": [16, 16, 8, 4, 2, 1], "256": [16, 16, 8, 8, 4, 2, 1]}
D_FACTORS = {"32": [4] * 4, "64": [1, 2, 4, 8, 16], "128": [1, 2, 4, 8, 16, 16], "256": [1, 2, 4, 8, 8, 16, 16]}
HALVINGS = {"32": 2, "64": 4, "128": 5, "256": 6}
PLAIN = {"spectral": True, "init": "orthogonal", "conditional": True, "channels": 3}
TINY = {"classes": 3, "width": 4, "size": 16, "multipliers": {"16": [4, 2, 2]}, "attention": {"16": [8]}}
TINY_D = TINY | {"multipliers": {"16": [2, 2, 4]}, "halvings": {"16": 2}}


def at(*sides):
    return {size: list(sides) for size in G_FACTORS}


def generator(size=128, width=96, classes=1000, **changes):
    options = {"latent_size": 120, "embedding_size": 128, "hierarchical": True, "attention": at(64)}
    options |= {"multipliers": G_FACTORS, "width": width, "size": size, "classes": classes}
    return biggan.Generator(**options | PLAIN | changes)


def sagan_generator(**changes):
    return generator(**{"latent_size": 128, "embedding_size": None, "hierarchical": False, "init": "xavier"} | changes)


def discriminator(size=128, width=96, classes=1000, **changes):
    options = {"multipliers": D_FACTORS, "halvings": HALVINGS, "attention": at(64), "width": width}
    return biggan.Discriminator(size=size, classes=classes, **options | PLAIN | changes)


def deep_generator(size=128, width=128, classes=1000, **changes):
    options = {"latent_size": 128, "embedding_size": 128, "depth": 2, "attention": at(64), "multipliers": G_FACTORS}
    return biggan_deep.Generator(size=size, width=width, classes=classes, **options | PLAIN | changes)


def deep_discriminator(size=128, width=128, classes=1000, **changes):
    options = {"multipliers": D_FACTORS, "halvings": HALVINGS, "attention": at(64), "depth": 2, "width": width}
    return biggan_deep.Discriminator(size=size, classes=classes, **options | PLAIN | changes)


BARE = {"spectral": False, "init": "normal"}
"""For counting: neither adds a parameter, and on the meta device they take their time all the same."""


def counts(*networks):
    return [parameter_count(network) for network in networks]


def test_spectral_normalisation_adds_no_parameters():
    for make in (GENERATORS["biggan"], DISCRIMINATORS["wide"], DISCRIMINATORS["deep"]):
        assert counts(make()) == counts(make(**BARE))


def test_counts_of_sagan():
    large, small = BARE | {"width": 64}, BARE | {"size": 32, "classes": 10, "width": 64, "attention": at(16)}
    two = {"multipliers": {"32": [2] * 4}}
    with torch.device("meta"):
        assert counts(
            *(sagan_generator(**large | {"attention": at(32)}), discriminator(**large | {"attention": at(32)})),
            *(sagan_generator(**large), discriminator(**large)),
            *(sagan_generator(**small), discriminator(**small | two)),
        ) == [42_078_852, 39_463_618, 42_017_412, 39_448_258, 4_386_308, 1_075_586]


def test_counts_of_biggan():
    whole, narrow = {"hierarchical": False, "latent_size": 128}, BARE | {"width": 64}
    with torch.device("meta"):
        assert counts(generator(**BARE), discriminator(**BARE)) == [70_433_988, 87_982_370]
        assert counts(generator(**narrow), discriminator(**narrow)) == [31_978_628, 39_448_258]
        at_64 = narrow | {"size": 64, "attention": at(32)}
        assert counts(generator(**at_64), discriminator(**at_64)) == [31_969_540, 20_571_842]
        assert counts(generator(256, latent_size=140, **BARE), discriminator(256, **BARE)) == [82_235_844, 99_225_890]
        assert counts(generator(**whole | BARE)) == [72_792_516]
        script = narrow | {"size": 32, "classes": 10, "attention": at()}
        assert counts(sagan_generator(**script), discriminator(**script)) == [4_304_387, 4_207_361]


def test_counts_of_biggan_deep():
    with torch.device("meta"):
        assert counts(deep_generator(**BARE), deep_discriminator(**BARE)) == [50_244_484, 34_590_210]


GENERATORS = {
    "sagan": lambda **options: sagan_generator(**TINY | options),
    "biggan": lambda **options: generator(**TINY | {"latent_size": 12, "embedding_size": 5} | options),
    "deep": lambda **options: deep_generator(**TINY | {"embedding_size": 5, "latent_size": 12} | options),
}
DISCRIMINATORS = {
    "wide": lambda **options: discriminator(**TINY_D | options),
    "deep": lambda **options: deep_discriminator(**TINY_D | options),
}
each_generator = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
each_discriminator = pytest.mark.parametrize("make", DISCRIMINATORS.values(), ids=DISCRIMINATORS)


def latents(network, count=3):
    first = next(module for module in network.modules() if isinstance(module, nn.Linear))
    return torch.randn(count, 128 if first.in_features == 128 else 12)


@each_generator
@pytest.mark.parametrize("conditional", [True, False])
def test_generators_make_images_of_their_labels(make, conditional):
    torch.manual_seed(0)
    network = make(conditional=conditional).eval()
    for name, parameter in network.named_parameters():
        if "gain" in name:
            nn.init.normal_(parameter, 1.0, 0.5)
    z, labels = latents(network), torch.tensor([0, 1, 2])
    images = network(z, labels if conditional else None)
    assert images.shape == (3, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(images[:1], network(z[:1], labels[:1]), rtol=1e-3, atol=1e-4)
    assert torch.equal(images, network(z, labels.flip(0))) != conditional
    if conditional:
        with pytest.raises(ValueError, match="no labels"):
            network(z)


@each_discriminator
@pytest.mark.parametrize("conditional", [True, False])
def test_discriminators_judge_samples_apart(make, conditional):
    torch.manual_seed(0)
    network = make(conditional=conditional)
    images, labels = torch.randn(3, 3, 16, 16), torch.tensor([0, 1, 2])
    output = network(images, labels)
    assert output.score.shape == (3,)
    assert [maps.shape[2] for maps in output.features] == ([8, 4, 4] if make is DISCRIMINATORS["wide"] else [8, 4])
    assert output.features[-1].min() >= 0
    assert not couples_samples(network)
    torch.testing.assert_close(output.score[:1], network(images[:1], labels[:1]).score, rtol=1e-3, atol=1e-4)
    network.eval()  # u of spectral normalisation rests
    assert torch.equal(network(images, labels).score, network(images, labels.flip(0)).score) != conditional


def test_attention_is_the_identity_at_the_start():
    torch.manual_seed(0)
    hidden = torch.randn(2, 16, 6, 4)
    layer = SelfAttention(16)
    assert layer.gamma.item() == 0
    assert torch.equal(layer(hidden), hidden)
    layer(hidden).sum().backward()
    assert layer.gamma.grad.abs() > 0  # and it can leave the start


def test_networks_start_as_those_without_attention():
    torch.manual_seed(0)
    images, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    network = DISCRIMINATORS["wide"]().eval()
    score = network(images, labels).score
    network.blocks[0] = network.blocks[0][0]  # without the attention behind it
    assert torch.equal(network(images, labels).score, score)


def test_attention_on_two_by_two_positions():
    """One pooled position: everybody looks at the maxima of the values, whatever the query."""
    torch.manual_seed(0)
    hidden = torch.randn(1, 8, 2, 2)
    layer = SelfAttention(8)
    layer.gamma.data.fill_(0.5)
    values = torch.einsum("oc,ncij->noij", layer.value.weight[:, :, 0, 0], hidden).amax((2, 3))  # [1, 4]
    seen = values @ layer.output.weight[:, :, 0, 0].T
    torch.testing.assert_close(layer(hidden), hidden + 0.5 * seen[:, :, None, None])
    assert layer.weights(hidden).shape == (1, 4, 1)
    assert torch.equal(layer.weights(hidden), torch.ones(1, 4, 1))


def test_attention_is_the_published_formula():
    """Written again with loops over positions."""
    torch.manual_seed(0)
    hidden = torch.randn(1, 16, 4, 4, dtype=torch.float64)
    layer = SelfAttention(16).double()
    layer.gamma.data.fill_(-1.3)
    query, key, value = (
        torch.einsum("oc,cij->oij", part.weight[:, :, 0, 0], hidden[0])
        for part in (layer.query, layer.key, layer.value)
    )
    key, value = (max_pool2d(part[None], 2)[0].flatten(1) for part in (key, value))
    expected = hidden.clone()
    for i in range(4):
        for j in range(4):
            likeness = [(query[:, i, j] @ key[:, position]).exp() for position in range(4)]
            mixed = sum(weight * value[:, position] for position, weight in enumerate(likeness)) / sum(likeness)
            expected[0, :, i, j] -= 1.3 * layer.output.weight[:, :, 0, 0] @ mixed
    torch.testing.assert_close(layer(hidden), expected)


def test_attention_needs_channels_and_maps_that_exist():
    with pytest.raises(ValueError, match=r"self-attention needs 8 channels or more, .*; got 4"):
        SelfAttention(4)
    with pytest.raises(ValueError, match=r"attention\.16 wants maps of side 32; there are 8, 16"):
        GENERATORS["biggan"](attention={"16": [32]})
    with pytest.raises(ValueError, match=r"attention\.16 wants maps of side 16; there are 8, 4"):
        DISCRIMINATORS["wide"](attention={"16": [16]})


def attentions(network):
    return [module for module in network.modules() if isinstance(module, SelfAttention)]


def test_attention_stands_once_at_the_side_that_was_chosen():
    torch.manual_seed(0)
    for network in (GENERATORS["biggan"](), GENERATORS["deep"](), DISCRIMINATORS["wide"](), DISCRIMINATORS["deep"]()):
        (layer,) = attentions(network)
        sides = []
        layer.register_forward_hook(lambda module, inputs, output, sides=sides: sides.append(inputs[0].shape[2]))
        if hasattr(network, "head"):
            network(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))
        else:
            network(torch.randn(2, 12), torch.tensor([0, 1]))
        assert sides == [8]
    assert len(attentions(DISCRIMINATORS["wide"](attention={"16": [8, 4]}))) == 2  # not after the block that keeps 4


def test_every_norm_is_given_its_part_of_the_latent_and_the_embedding():
    torch.manual_seed(0)
    network = GENERATORS["biggan"]()
    seen = {}
    for index, block in enumerate(network.blocks):
        for name, module in block.named_modules():
            if isinstance(module, VectorConditionalNorm):
                module.register_forward_hook(
                    lambda module, inputs, output, key=(index, name): seen.update({key: inputs[1]})
                )
    first = []
    network.first.register_forward_hook(lambda module, inputs, output: first.append(inputs[0]))
    z, labels = torch.randn(2, 12), torch.tensor([2, 0])
    network(z, labels)
    parts = z.split(4, dim=1)
    assert torch.equal(first[0], parts[0])
    assert torch.equal(torch.cat([first[0], *(seen[index, name][:, :4] for index, name in sorted(seen)[::2])], 1), z)
    assert len(seen) == 4
    for (index, _), condition in seen.items():
        assert torch.equal(condition, torch.cat([parts[index + 1], network.embedding(labels)], dim=1))


@pytest.mark.parametrize(("size", "blocks"), [(32, 3), (64, 4), (128, 5)])
def test_parts_sum_to_the_latent(size, blocks):
    with torch.device("meta"):
        network = generator(size, width=8, attention=at(), **BARE)
    assert len(network.blocks) == blocks
    assert network.part * (blocks + 1) == 120


def test_deep_norms_are_given_the_whole_latent():
    torch.manual_seed(0)
    network = GENERATORS["deep"]()
    seen = []
    for module in network.modules():
        if isinstance(module, VectorConditionalNorm):
            module.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    z, labels = torch.randn(2, 12), torch.tensor([2, 0])
    network(z, labels)
    whole = torch.cat([z, network.embedding(labels)], dim=1)
    assert len(seen) == 2 * 2 * 4
    assert all(torch.equal(condition, whole) for condition in seen)


def test_gains_are_one_plus_a_linear_map():
    torch.manual_seed(0)
    norm = VectorConditionalNorm(nn.BatchNorm2d(3, affine=False), 3, 2)
    hidden, condition = torch.randn(5, 3, 4, 4), torch.randn(5, 2)
    plain = (hidden - hidden.mean((0, 2, 3), keepdim=True)) / (
        hidden.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
    ).sqrt()
    gain, bias = 1 + condition @ norm.gain.weight.T, condition @ norm.bias.weight.T
    torch.testing.assert_close(norm(hidden, condition), gain[:, :, None, None] * plain + bias[:, :, None, None])
    nn.init.zeros_(norm.gain.weight)
    nn.init.zeros_(norm.bias.weight)
    torch.testing.assert_close(norm(hidden, condition), plain)


def test_everything_but_the_embedding_is_spectrally_normalised():
    for network in (GENERATORS["biggan"](), GENERATORS["deep"](), DISCRIMINATORS["wide"](), DISCRIMINATORS["deep"]()):
        with_weights = nn.Conv2d | nn.Linear | nn.Embedding
        layers = {name: module for name, module in network.named_modules() if isinstance(module, with_weights)}
        bare = [name for name, layer in layers.items() if not hasattr(layer, "parametrizations")]
        assert bare == (["embedding"] if isinstance(network, biggan.Generator | biggan_deep.Generator) else [])
        for name, layer in layers.items():
            if name not in bare:
                norm = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
                assert norm == pytest.approx(1.0, abs=0.02)
    plain = GENERATORS["biggan"](spectral=False)
    assert not any(hasattr(module, "parametrizations") for module in plain.modules())


@each_generator
def test_orthogonal_weights_at_the_start(make):
    torch.manual_seed(0)
    network = make(spectral=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            matrix = module.weight.flatten(1)
            matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.T
            if make is not GENERATORS["sagan"]:
                torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), rtol=0, atol=1e-5)


def test_surplus_channels_are_dropped_and_missing_ones_added():
    """With branches that are zero, only the shortcuts of BigGAN-deep are left."""
    torch.manual_seed(0)
    up, down = biggan_deep.UpBlock(8, 4, 2, double=True), biggan_deep.DownBlock(4, 8, halve=True)
    for block in (up, down):
        nn.init.zeros_(block.branch[-1].weight)
        nn.init.zeros_(block.branch[-1].bias)
    hidden = torch.randn(2, 8, 4, 4)
    expected = hidden[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(up(hidden, torch.randn(2, 2)), expected)
    hidden = torch.randn(2, 4, 4, 4)
    pooled = hidden.unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean((3, 5))
    out = down(hidden)
    torch.testing.assert_close(out[:, :4], pooled)
    torch.testing.assert_close(out[:, 4:], down.appended(pooled))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GENERATORS["biggan"](latent_size=10),
            "into 3 equal parts, .* 10 dimensions do not divide by 3",
        ),
        (lambda: GENERATORS["biggan"](embedding_size=None), "give embedding_size"),
        (lambda: GENERATORS["biggan"](size=24), "multipliers holds layouts for 16 pixels; got 24: add multipliers.24"),
        (lambda: GENERATORS["biggan"](multipliers={"16": [2, 2]}), "2 multipliers make 8 pixels of 4; got 16"),
        (lambda: GENERATORS["deep"](multipliers={"16": [2, 2, 4]}), "multipliers.16 must not rise"),
        (lambda: DISCRIMINATORS["deep"](multipliers={"16": [4, 4, 2]}), "multipliers.16 must not fall"),
        (lambda: DISCRIMINATORS["wide"](halvings={"16": 5}), "3 multipliers and 16 pixels do not allow 5 halvings"),
    ],
)
def test_layouts_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def pair(name):
    if name == "deep":
        return GENERATORS["deep"](), DISCRIMINATORS["deep"]()
    return GENERATORS[name](), DISCRIMINATORS["wide"]()


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("how", ["bf16", "fp32"])
def test_forward_and_backward_in_bf16_and_channels_last(name, how):
    """As the trainer prepares networks."""
    torch.manual_seed(0)
    game = nn.Module()
    game.generator, game.discriminator = pair(name)
    for layer in (*attentions(game.generator), *attentions(game.discriminator)):
        layer.gamma.data.fill_(0.5)
    precision.prepare(game, torch.device("cpu"), how)
    kernels = [p for p in game.parameters() if p.ndim == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    labels = torch.tensor([0, 1, 2, 0])
    images = game.generator(latents(game.generator, 4), labels)
    output = game.discriminator(images, labels)
    assert images.dtype == output.score.dtype == torch.float32
    output.score.sum().backward()
    for parameter in game.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_gradient_penalties_reach_through_attention():
    torch.manual_seed(0)
    network = DISCRIMINATORS["wide"](spectral=False)
    attentions(network)[0].gamma.data.fill_(0.5)
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    score = network(images, torch.tensor([0, 1])).score
    (slope,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert attentions(network)[0].query.weight.grad.abs().sum() > 0
