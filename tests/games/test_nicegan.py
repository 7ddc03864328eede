import pytest
import torch
from torch import nn

from ganrun.core.types import Batch
from ganrun.engine import precision
from ganrun.games.nicegan import NICEGAN, encode, heat_map
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticAverage
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks.nicegan import Discriminator, Generator

SHAPE = (3, 24, 24)


def lsgan():
    return Objective(LeastSquares(0.0, 1.0, 1.0), None, {}, {}, 1, None, {})


def make(objective=None, seed=0, width=4, blocks=1, **weights):
    torch.manual_seed(seed)
    return NICEGAN(
        a_to_b=Generator(width, width, blocks, True, SHAPE),
        b_to_a=Generator(width, width, blocks, True, SHAPE),
        discriminator_a=Discriminator(width, 0, 1, True, SHAPE),
        discriminator_b=Discriminator(width, 0, 1, True, SHAPE),
        objective=objective or lsgan(),
        **{"adversarial_weight": 6.0, "cycle_weight": 10.0, "reconstruction_weight": 10.0, **weights},
    )


def squares(count=2):
    """Red squares on black, and blue squares on white, at independent random places."""
    domains = []
    for colour, background in ((0, -1.0), (2, 1.0)):
        images = torch.full((count, *SHAPE), background)
        side = SHAPE[1] // 2
        for image, x, y in zip(images, *torch.randint(SHAPE[1] - side, (2, count)), strict=True):
            image[:, y : y + side, x : x + side] = -1.0
            image[colour, y : y + side, x : x + side] = 1.0
        domains.append(images)
    return Batch(tuple(domains))


def discriminators(game):
    return nn.ModuleList([game.discriminator_a, game.discriminator_b])


def decoders(game):
    return nn.ModuleList([game.a_to_b, game.b_to_a])


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def changed(module, before):
    return {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}


def test_ownership_is_a_partition(assert_partition):
    assert_partition(make())


def test_discriminators_move_first_and_every_term_is_named():
    moves = list(make().play(iter(squares, None)))
    assert [list(move) for move in moves] == [["discriminator"], ["generator"]]
    assert set(moves[0]["discriminator"]) == {f"{term}_{domain}" for term in ("real", "fake") for domain in "ab"}
    assert set(moves[1]["generator"]) == {
        f"{term}_{domain}" for term in ("adversarial", "cycle", "reconstruction") for domain in "ab"
    }


def test_training_is_decoupled():
    """Encoders are trained by their discriminators' move alone; the decoders' leaves every weight of them as it was."""
    game = make()
    with torch.no_grad():  # the attention's mixing has a gradient once it counts
        for discriminator in discriminators(game):
            discriminator.encoder.attention.strength.fill_(0.1)
    players = {name: nn.ModuleList(modules) for name, modules in game.players().items()}
    optimizers = {name: torch.optim.Adam(player.parameters(), 1e-3) for name, player in players.items()}
    seen = []
    for move in game.play(iter(squares, None)):
        before = {"discriminator": snapshot(discriminators(game)), "generator": snapshot(decoders(game))}
        ((name, terms),) = move.items()
        sum(terms.values()).backward(inputs=list(players[name].parameters()))
        optimizers[name].step()
        optimizers[name].zero_grad()
        seen.append((name, {player: changed(players[player], values) for player, values in before.items()}))
    (first, after_first), (second, after_second) = seen
    assert (first, second) == ("discriminator", "generator")
    assert after_first["generator"] == set()
    assert after_first["discriminator"] == set(snapshot(discriminators(game)))  # all of it, encoders included
    assert after_second["discriminator"] == set()  # bit-identical
    assert after_second["generator"] >= {name for name in snapshot(decoders(game)) if "blocks" in name}


def test_gradients_pass_through_the_other_encoder():
    """The cycle a -> b -> a teaches the first decoder too."""
    game = make(cycle_weight=1.0)
    a, b = squares().domains
    terms = game.generator_terms(a, b)
    (gradient,) = torch.autograd.grad(terms["cycle_a"], game.a_to_b.blocks[0].first.weight, retain_graph=True)
    assert gradient.abs().max() > 0
    (none,) = torch.autograd.grad(
        terms["reconstruction_a"], game.a_to_b.blocks[0].first.weight, allow_unused=True, retain_graph=True
    )
    assert none is None or none.abs().max() == 0


def test_the_objective_is_summed_over_three_heads():
    """LSGAN of the paper: squares without 1/2, over the heads, against targets 1 and 0."""
    game = make().eval()
    a, b = squares().domains
    with torch.no_grad():
        fake_b = game.translate(a, "a_to_b")
        real, fake = (game.discriminator_b(images).scores for images in (b, fake_b))
    discriminator, generator = game.discriminator_terms(a, b), game.generator_terms(a, b)
    expected = {
        "real_b": sum(((score - 1) ** 2).mean() for score in real),
        "fake_b": sum((score**2).mean() for score in fake),
    }
    for name, value in expected.items():
        torch.testing.assert_close(discriminator[name], value)
    torch.testing.assert_close(generator["adversarial_b"], sum(((score - 1) ** 2).mean() for score in fake))


def test_cycle_and_reconstruction_are_mean_absolute_errors():
    game = make(cycle_weight=2.0, reconstruction_weight=3.0).eval()
    a, b = squares().domains
    terms = game.generator_terms(a, b)
    with torch.no_grad():
        returned = game.translate(game.translate(b, "b_to_a"), "a_to_b")
        same = game.a_to_b(encode(game.discriminator_b, b))
    torch.testing.assert_close(terms["cycle_b"], 2 * (returned - b).abs().mean())
    torch.testing.assert_close(terms["reconstruction_b"], 3 * (same - b).abs().mean())


def test_the_generators_move_takes_one_power_iteration():
    game = make()
    batch = squares()
    layer = game.discriminator_a.encoder.layers[0][1].parametrizations.weight
    weight, u = layer.original.detach().flatten(1), layer[0].u.clone()
    game.generator_terms(*batch.domains)
    v = nn.functional.normalize(weight.T @ u, dim=0)
    torch.testing.assert_close(layer[0].u, nn.functional.normalize(weight @ v, dim=0))


def test_heads_and_attention_are_logged():
    game = make()
    game.discriminator_terms(*squares().domains)
    logged = game.statistics.flush()
    heads = {f"score/{verdict}_{head}_a" for verdict in ("real", "fake") for head in ("local", "global", "cam")}
    assert heads <= logged.keys()
    local, whole, cam = (logged[f"score/real_{head}_a"] for head in ("local", "global", "cam"))
    assert logged["score/real_a"] == pytest.approx((16 * local + whole + cam) / 18, rel=1e-4)  # all scores alike
    assert logged["attention/strength_a"] == logged["attention/strength_b"] == 0.0


@pytest.mark.parametrize(
    "objective",
    [
        Objective(
            Wasserstein(),
            None,
            {"gradient_penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")},
            {},
            2,
            None,
            {},
        ),
        Objective(RelativisticAverage("logistic"), None, {}, {}, 1, None, {}),
    ],
)
def test_other_objectives(play, objective):
    game = make(objective)
    moves = [list(move) for move in game.play(iter(squares, None))]
    assert moves == [["discriminator"]] * objective.critic_steps + [["generator"]]
    play(game, squares, range(2))
    assert all(parameter.isfinite().all() for parameter in game.parameters())


def test_translates_in_both_directions():
    game = make().eval()
    a, b = squares().domains
    translated = game.sample(2, condition=a)
    torch.testing.assert_close(translated, game.a_to_b(game.discriminator_a(a).code))
    assert not translated.requires_grad
    assert torch.equal(game.translate(a, game.directions[0]), translated)
    torch.testing.assert_close(game.translate(b, "b_to_a"), game.b_to_a(game.discriminator_b(b).code))


def test_pictures_are_rows_of_original_heat_reconstruction_translation_and_return():
    game = make().eval()
    batch = squares(count=4)
    pictures = game.pictures(batch, count=9)
    assert {name: (len(picture.images), picture.columns) for name, picture in pictures.items()} == {
        "a_to_b": (15, 5),
        "b_to_a": (15, 5),
    }
    b = batch.domains[1][1:2]
    row = pictures["b_to_a"].images[5:10]
    code = encode(game.discriminator_b, b)
    expected = [b, heat_map(code, b), game.a_to_b(code), game.b_to_a(code), None]
    for image, one in zip(row, expected, strict=True):
        if one is not None:
            torch.testing.assert_close(image, one[0])
    torch.testing.assert_close(row[4:], game.translate(game.translate(b, "b_to_a"), "a_to_b"))


def test_heat_is_scaled_per_image():
    code = torch.tensor([[[[0.0, 1.0]], [[0.0, 3.0]]], [[[2.0, 2.0]], [[2.0, 2.0]]]])
    heat = heat_map(code, torch.empty(2, 3, 2, 4))
    assert heat[0].tolist() == [[[-1.0, -1.0, 1.0, 1.0]] * 2] * 3
    assert heat[1].unique().tolist() == [-1.0]


def test_discriminators_without_encoder_are_refused():
    game = make()
    with pytest.raises(ValueError, match="begin with an encoder"):
        NICEGAN(game.a_to_b, game.b_to_a, game.discriminator_a, nn.Linear(1, 1), lsgan(), 6.0, 10.0, 10.0)


def test_encoders_compute_in_bf16_where_their_discriminators_do():
    game = make().eval()
    a, b = squares().domains
    exact = encode(game.discriminator_a, a)
    precision.prepare(game, torch.device("cpu"), "bf16")
    rough = encode(game.discriminator_a, a)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    terms = game.discriminator_terms(a, b) | game.generator_terms(a, b)
    assert {term.dtype for term in terms.values()} == {torch.float32}


def errors(game):
    torch.manual_seed(1000)
    batch = squares(count=8)
    game.eval()
    with torch.no_grad():
        fake_b = game.translate(batch.domains[0], "a_to_b")
    terms = game.generator_terms(*batch.domains)
    game.statistics.flush()
    game.train()
    sums = {name: (terms[f"{name}_a"] + terms[f"{name}_b"]).item() / 10 for name in ("cycle", "reconstruction")}
    return sums | {"level": (fake_b.mean() - batch.domains[1].mean()).abs().item()}


def test_learns_to_translate_squares(play):
    game = make(width=8)
    before = errors(game)
    play(game, squares, range(50), lr=2e-3)
    after = errors(game)
    assert after["cycle"] < 0.2 * before["cycle"]
    assert after["reconstruction"] < 0.18 * before["reconstruction"]
    assert after["level"] < 0.3  # black backgrounds have become white ones
