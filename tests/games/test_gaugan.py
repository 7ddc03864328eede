import pytest
import torch
from torch.nn.functional import relu

from ganrun.core.errors import RunError
from ganrun.core.tensors import paint
from ganrun.core.types import Batch
from ganrun.games.gaugan import GauGAN
from ganrun.latents.normal import Normal
from ganrun.latents.posterior import Posterior
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.layer_matching import LayerMatching
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks import spade

SHAPE = (3, 16, 16)
PALETTE = (("ground", 51, 51, 51), ("disc", 255, 0, 0), ("bar", 0, 255, 0), ("tile", 0, 0, 255))


def objective_of(loss=None, terms=None, critic_steps=1, matching=10.0):
    matched = {"layer_matching": LayerMatching(matching)} if matching else {}
    return Objective(loss or Hinge(), None, terms or {}, matched, critic_steps, None, {})


def make(objective=None, styles=False, maps=True, kl_weight=0.05, perceptual=None, spectral=True, width=4):
    torch.manual_seed(0)
    planes = len(PALETTE) if maps else 3
    latent = 6 if styles else 0
    return GauGAN(
        generator=spade.Generator(width, [2, 1], "normal", 8, "batch", latent, 1.0, planes, SHAPE),
        encoder=spade.Encoder(width, [1, 2], 16, latent, 1.0, 3) if styles else None,
        discriminator=spade.Discriminator(width, 1, 2, "instance", spectral, 1.0, planes, SHAPE),
        latent=Normal(latent) if styles else None,
        objective=objective or objective_of(),
        kl_weight=kl_weight,
        perceptual=perceptual,
        perceptual_weight=10.0,
        palette=PALETTE if maps else (),
    )


def batch_of(count=4, maps=True):
    """Squares, whose colour is that of their label, on grey."""
    labels = torch.zeros(count, 16, 16, dtype=torch.long)
    places, kinds = torch.randint(8, (count, 2)), torch.randint(1, 4, (count,))
    for labelled, (x, y), kind in zip(labels, places, kinds, strict=True):
        labelled[y : y + 8, x : x + 8] = kind
    images = paint(labels, PALETTE)
    return Batch((images,), labels if maps else images.flip(1))


def moves_of(game, batch):
    torch.manual_seed(5)
    return list(game.play(iter([batch] * 9)))


@pytest.mark.parametrize("styles", [False, True])
def test_ownership_is_a_partition(assert_partition, styles):
    assert_partition(make(styles=styles))


def test_the_generator_moves_first_and_every_term_is_named(vgg_weights):
    def names(game):
        return [{player: set(terms) for player, terms in move.items()} for move in moves_of(game, batch_of())]

    plain = {"adversarial", "layer_matching"}
    judged = {"discriminator": {"real", "fake"}}
    assert names(make()) == [{"generator": plain}, judged]
    assert names(make(styles=True)) == [{"generator": plain | {"divergence"}}, judged]
    assert names(make(objective_of(critic_steps=2))) == [{"generator": plain}, judged, judged]
    assert names(make(perceptual=str(vgg_weights)))[0] == {"generator": plain | {"perceptual"}}


def test_terms_by_hand():
    game = make(styles=True).eval()  # where spectral norms rest
    batch = batch_of()
    move, judged = moves_of(game, batch)
    torch.manual_seed(5)
    posterior = Posterior.read(game.encoder(batch.real))
    fake = game.generator(batch.condition, posterior.draw())
    real_output, fake_output = (game.discriminator(images, batch.condition) for images in (batch.real, fake))
    mean, log_variance = posterior
    terms = move["generator"]
    torch.testing.assert_close(terms["adversarial"], -sum(score.mean() for score in fake_output.scores) / 2)
    distances = [
        (one - other).abs().mean() for one, other in zip(fake_output.features, real_output.features, strict=True)
    ]
    assert len(distances) == 4  # two layers of two scales
    torch.testing.assert_close(terms["layer_matching"], 10 * sum(distances) / 2)
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    torch.testing.assert_close(terms["divergence"], 0.05 * divergence)
    fake = game.generator(batch.condition, Posterior.read(game.encoder(batch.real)).draw())  # made anew
    fake_scores = game.discriminator(fake, batch.condition).scores
    real = sum(relu(1 - score).mean() for score in real_output.scores) / 2
    torch.testing.assert_close(judged["discriminator"]["real"], real)
    torch.testing.assert_close(judged["discriminator"]["fake"], sum(relu(1 + s).mean() for s in fake_scores) / 2)
    logged = game.statistics.flush()
    assert logged["divergence/per_image"] == pytest.approx(divergence.item() / 4, rel=1e-4)


def test_real_and_fake_share_one_pass_of_the_discriminator():
    game = make()
    sizes = []
    game.discriminator.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    moves = game.play(iter([batch_of()]))
    next(moves)
    assert sizes == [4, 4]  # the reals, for feature matching, without a graph
    sizes.clear()
    next(moves)
    assert sizes == [8]


def test_gradients_reach_the_mover_only():
    game = make(styles=True)
    move, judged = moves_of(game, batch_of())
    sum(judged["discriminator"].values()).backward()
    assert all(p.grad is None for network in (game.generator, game.encoder) for p in network.parameters())
    sum(move["generator"].values()).backward()
    assert all(p.grad is not None for network in (game.generator, game.encoder) for p in network.parameters())


@pytest.mark.parametrize(
    "objective",
    [
        objective_of(NonSaturating(1.0, 0.0, 0.0)),
        objective_of(LeastSquares(0.0, 1.0, 1.0)),
        objective_of(RelativisticPairs("paired"), matching=0),
        objective_of(Wasserstein(), {"penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}, critic_steps=2),
    ],
)
def test_other_objectives(objective, play):
    game = make(objective)
    play(game, batch_of, range(2))
    assert all(parameter.isfinite().all() for parameter in game.parameters())


def test_styles_need_an_encoder_and_a_latent():
    game = make()
    parts = {name: getattr(game, name) for name in ("generator", "discriminator", "objective", "kl_weight", "palette")}
    with pytest.raises(ValueError, match="styles need an encoder and a latent"):
        GauGAN(encoder=None, latent=Normal(6), perceptual=None, perceptual_weight=10.0, **parts)


def test_sampling_draws_styles_or_takes_them():
    game = make(styles=True).eval()
    batch = batch_of()
    one, other = game.sample(4, batch.condition), game.sample(4, batch.condition)
    assert not torch.equal(one, other)
    taken = game.sample(4, batch.condition, style=batch.real[:1])
    torch.testing.assert_close(taken, game.sample(4, batch.condition, style=batch.real[:1].expand(4, -1, -1, -1)))
    assert not torch.equal(taken, game.sample(4, batch.condition, style=-batch.real[:1]))
    plain = make().eval()
    assert torch.equal(plain.sample(4, batch.condition), plain.sample(4, batch.condition))
    with pytest.raises(RunError, match=r"without styles \(model=gaugan_style has them\)"):
        plain.sample(4, batch.condition, style=batch.real)


def test_what_it_is_given():
    assert make().needs == "maps"
    assert make(maps=False).needs == "images"


@pytest.mark.parametrize("maps", [False, True])
def test_pictures(maps):
    game = make(maps=maps, styles=True).eval()
    batch = batch_of(maps=maps)
    pictures = game.pictures(batch, count=9)
    rows, styles = pictures["generated"], pictures["styles"]
    assert (len(rows.images), rows.columns) == (9, 3)
    assert torch.equal(rows.images[3], paint(batch.condition, PALETTE)[1] if maps else batch.condition[1])
    assert torch.equal(rows.images[5], batch.real[1])
    assert (len(styles.images), styles.columns) == (16, 4)  # a blank, three styles; and below three layouts in them
    assert torch.equal(styles.images[1:4], batch.real[:3])
    assert torch.equal(styles.images[8], rows.images[3])
    layouts = batch.condition[1:2].expand(3, *batch.condition.shape[1:])
    torch.testing.assert_close(styles.images[9:12], game.sample(3, layouts, batch.real[:3]))
    assert set(make(maps=maps).eval().pictures(batch, count=9)) == {"generated"}


def test_learns_the_colours_of_labels(play):
    """Colours by label: chance is one in three."""
    game = make(styles=True, width=8)

    def accuracy():
        torch.manual_seed(99)
        batch = batch_of(16)
        made = game.eval().sample(16, batch.condition)
        game.train()
        inside = batch.condition > 0
        right = (made.argmax(1) + 1 == batch.condition)[inside].float().mean().item()
        return right, (made - batch.real).abs().mean().item()

    game.statistics.flush()
    before = moves_of(game, batch_of(16))[0]["generator"]["layer_matching"].item()
    assert accuracy()[1] > 0.6
    play(game, lambda: batch_of(16), range(60), lr=2e-3)
    assert accuracy()[0] > 0.9
    assert accuracy()[1] < 0.3
    assert moves_of(game, batch_of(16))[0]["generator"]["layer_matching"].item() < 0.7 * before
