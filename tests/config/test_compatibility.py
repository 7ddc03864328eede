"""Parts that do not fit each other or the data are refused, with the reason."""

import pytest

from ganrun.config.compatibility import check, check_facts, resolve_auto, warnings
from ganrun.config.validate import find_problems
from ganrun.core.facts import Facts


def paths(problems) -> list[str]:
    return [problem.path for problem in problems]


def test_batch_norm_under_a_per_sample_penalty_is_refused(composed):
    (problem,) = check(composed("loss=wgan_gp", "model.discriminator.norm=batch"))
    assert problem.path == "model.discriminator.norm"
    assert "GradientPenalty" in problem.cause
    assert "mixes samples" in problem.cause
    assert "norm=none" in problem.remedy


def test_a_batch_of_one_has_nothing_to_mix(composed):
    assert check(composed("loss=wgan_gp", "model.discriminator.norm=batch", "trainer.batch_size=1")) == []


def test_auto_norm_is_none_under_a_penalty_and_says_why(composed):
    config = composed("loss=wgan_gp")
    (line,) = resolve_auto(config)
    assert config["model"]["discriminator"]["norm"] == "none"
    assert config["model"]["generator"]["norm"] == "batch"
    assert "auto -> none" in line
    assert "GradientPenalty" in line


def test_normalised_scores_want_biases(composed):
    config = composed("loss=gngan")
    assert any("bias: auto -> true" in line and "GradientNormalisation" in line for line in resolve_auto(config))
    assert config["model"]["discriminator"]["bias"] is True
    config = composed()
    resolve_auto(config)
    assert config["model"]["discriminator"]["bias"] is False
    (problem,) = check(composed("loss=gngan", "model.discriminator.bias=false"))
    assert problem.path == "model.discriminator.bias"
    assert "D(c x) = c D(x)" in problem.cause


def test_auto_norm_is_batch_otherwise(composed):
    config = composed()
    assert len(resolve_auto(config)) == 1
    assert config["model"]["discriminator"]["norm"] == "batch"
    assert resolve_auto(config) == []


def test_points_do_not_go_into_convolutions(composed):
    problems = check(composed("dataset=ring", "model=dcgan"))
    assert paths(problems) == ["model.generator", "model.discriminator"]
    assert "needs images, but dataset provides 2-D points" in problems[0].cause
    assert "model=toy" in problems[0].remedy


def test_scores_of_images_do_not_go_with_points(composed):
    problems = check(composed("dataset=ring", "evaluation=quick"))
    assert "evaluation.metrics.fid" in paths(problems)
    assert "evaluation=points" in problems[0].remedy


def test_a_conditional_model_needs_labels(composed):
    (problem,) = check(composed("dataset=single_image", "model=cgan", "evaluation=none"))
    assert problem.path.endswith("conditional")
    assert "needs labels" in problem.cause


def test_labels_may_turn_out_to_be_absent(composed):
    config = composed("dataset=image_folder", "model=cgan", "evaluation=none")
    assert check(config) == []
    unlabelled = Facts(kind="images", shape=(3, 32, 32), count=(100,))
    (problem,) = check_facts(config, unlabelled)
    assert "needs labels, but dataset provides images" in problem.cause
    labelled = Facts(kind="images", shape=(3, 32, 32), count=(100,), classes=10)
    assert check_facts(config, labelled) == []


def test_translation_needs_two_domains_and_singan_one_picture(composed):
    (problem,) = check(composed("model=cyclegan"))
    assert "needs two domains" in problem.cause
    assert "dataset=unpaired" in problem.remedy
    problems = check(composed("model=singan"))
    assert any("needs a single image" in problem.cause for problem in problems)


@pytest.mark.parametrize(
    ("model", "data"), [("cyclegan", "unpaired"), ("ganilla", "unpaired"), ("singan", "single_image")]
)
@pytest.mark.parametrize("loss", ["gan_qp", "c_transform", "gngan", "grangan"])
def test_one_score_per_sample_is_not_what_patches_give(composed, model, data, loss):
    (problem,) = check(composed(f"model={model}", f"dataset={data}", f"loss={loss}"))
    assert problem.path == "model.discriminator"
    assert "scores patches" in problem.cause


def test_fakes_from_a_pool_are_older_than_their_reals(composed):
    pooled = ["model=cyclegan", "dataset=unpaired", "loss=rpgan"]
    assert any("model.pool_size=0" in line for line in warnings(composed(*pooled)))
    assert warnings(composed(*pooled, "model.pool_size=0")) == []
    assert warnings(composed("model=cyclegan", "dataset=unpaired", "loss=nonsaturating")) == []


@pytest.mark.parametrize("model", ["cyclegan", "ganilla"])
def test_a_technique_is_of_both_discriminators(composed, model):
    config = composed(f"model={model}", "dataset=unpaired", "technique=[spectral_norm]")
    assert check(config) == []
    assert all(config["model"][f"discriminator_{domain}"]["spectral"] is True for domain in "ab")


def test_one_lipschitz_control_is_enough(composed):
    (problem,) = check(composed("loss=wgan", "model.discriminator.spectral=true"))
    assert problem.path == "player.discriminator.weight_clip"
    (problem,) = check(composed("loss=wgan_gp", "player.discriminator.weight_clip=0.01"))
    assert "gradient_penalty" in problem.cause
    assert check(composed("loss=wgan")) == []
    assert check(composed("loss=wgan_gp", "model.discriminator.spectral=true")) == []


def test_a_loss_without_targets_cannot_be_smoothed(composed):
    (problem,) = find_problems(composed("loss=hinge", "+loss.adversarial.real_target=0.9"), "RunConfig")
    assert problem.path == "loss.adversarial"
    assert "this loss has no targets" in problem.cause


@pytest.mark.parametrize("update", ["simultaneous.SimultaneousGame", "merged.MergedGame"])
def test_joint_updates_are_for_two_players(composed, update):
    target = f"model._target_=ganrun.games.{update}"
    (problem,) = find_problems(composed("model=infogan", target), "RunConfig")
    assert problem.path == "model"
    assert "for one generator and one discriminator, and this model has categorical_weight" in problem.cause
    (problem, *_) = check(composed("model=cyclegan", "dataset=unpaired", target))
    assert "this model has a_to_b" in problem.cause


def test_the_merged_update_has_one_pass(composed):
    merged = ["model._target_=ganrun.games.merged.MergedGame", "+model.generator_factor=1.0"]
    assert find_problems(composed(*merged), "RunConfig") == []
    (problem,) = check(composed(*merged, "loss=wgan_gp"))
    assert problem.path == "loss.critic_steps"


def test_copies_are_for_generators_of_two_player_games(composed):
    assert find_problems(composed("technique=[ensemble]"), "RunConfig") == []
    (problem,) = find_problems(composed("+model.discriminator._copies_=2"), "RunConfig")
    assert "there can be only one here" in problem.cause
    (problem,) = find_problems(composed("technique=[ensemble]", "model.generator._copies_=0"), "RunConfig")
    assert "at least 1, not 0" in problem.cause


def test_a_wasserstein_critic_without_bounds_is_warned_of(composed):
    free = composed("loss=wgan", "player.discriminator.weight_clip=null")
    assert any("nothing bounds the critic's slope" in line for line in warnings(free))
    assert warnings(composed("loss=wgan")) == []
    assert warnings(composed("loss=wgan_gp")) == []
    assert any("momentum" in line for line in warnings(composed("loss=wgan", "optimizer=adam")))
    both = warnings(composed("loss=wgan_gp", "model.discriminator.spectral=true"))
    assert any("GradientPenalty" in line for line in both)


def test_a_batch_is_shared_evenly(composed):
    (problem,) = check(composed("trainer.devices=2", "trainer.accumulate=3"))
    assert problem.path == "trainer.batch_size"
    assert "multiple of 6" in problem.remedy
    assert check(composed("trainer.devices=2", "trainer.accumulate=4")) == []


def test_the_best_checkpoint_needs_a_metric_of_that_name(composed):
    (problem,) = check(composed("evaluation=quick", "evaluation.best=fdi"))
    assert "fid" in problem.remedy


def test_a_malformed_configuration_is_left_to_the_validator():
    assert check({}) == []
    assert check({"model": 3, "trainer": None, "loss": [1], "player": {"discriminator": 2}, "evaluation": "x"}) == []
    assert check({"model": {"_target_": "os.system"}, "dataset": {"_target_": 3}}) == []


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [("cyclegan", "unpaired", "draws none by itself"), ("singan", "single_image", "see one image at a time")],
)
def test_standing_statistics_need_samples(composed, model, data, told):
    problems = check(composed(f"model={model}", f"dataset={data}", "technique=[standing_statistics]"))
    (problem,) = (problem for problem in problems if problem.path == "trainer.standing_batches")
    assert told in problem.cause
    assert problem.remedy == "Use trainer.standing_batches=0."
    assert check(composed("technique=[standing_statistics]")) == []


def test_every_process_has_the_one_image(composed):
    for fitting in (
        [],
        ["trainer.devices=2", "trainer.batch_size=2"],
        ["trainer.accumulate=3", "trainer.batch_size=3"],
    ):
        assert check(composed("dataset=single_image", *fitting)) == []
        assert not any("bounds the critic" in line for line in warnings(composed("dataset=single_image", *fitting)))
    (problem,) = (
        p for p in check(composed("dataset=single_image", "trainer.batch_size=2")) if "exactly one" in p.cause
    )
    assert problem.path == "trainer.batch_size"


def test_scores_of_sets_are_refused_where_there_is_one_image(composed):
    (problem,) = check(composed("dataset=single_image", "evaluation=quick"))
    assert problem.path == "evaluation.metrics"
    assert problem.cause == "fid, inception_score compare samples with many images, and dataset provides a single image"
    assert "evaluation=single_image" in problem.remedy
    assert check(composed("dataset=single_image", "evaluation=none")) == []
    (first, *_) = check(composed("dataset=digits", "evaluation=single_image"))
    assert "needs a single image, but dataset provides" in first.cause


def test_spectral_normalisation_takes_singans_norm_away(composed):
    config = composed("dataset=single_image", "technique=[spectral_norm]", "loss=hinge")
    assert check(config) == []
    resolve_auto(config)
    assert config["model"]["discriminator"]["norm"] == "none"
    plain = composed("dataset=single_image")
    resolve_auto(plain)
    assert plain["model"]["discriminator"]["norm"] == "batch"


def test_biggan_needs_labels_unless_told_otherwise(composed):
    pictures = ["dataset=image_folder", "dataset.path=pictures", "model=biggan"]
    facts = Facts("images", (3, 32, 32), (10,))
    (problem,) = check_facts(composed(*pictures), facts)
    assert problem.path == "model.conditional"
    assert problem.remedy == "Set model.conditional=false or choose labelled data."
    assert check_facts(composed(*pictures, "model.conditional=false"), facts) == []


def test_decoders_are_averaged_with_the_encoders_they_share(composed):
    nicegan = ["model=nicegan", "dataset=unpaired"]
    assert check(composed(*nicegan)) == []
    (problem,) = check(composed(*nicegan, "technique=[ema]"))
    assert problem.path == "player.generator.ema"
    assert "both are averaged alike, or neither" in problem.cause
    assert check(composed(*nicegan, "technique=[ema]", "player.discriminator.ema=${player.generator.ema}")) == []
    average = "player.discriminator.ema={halflife_images: 100.0, rampup: 0.05}"
    assert [problem.path for problem in check(composed(*nicegan, average))] == ["player.generator.ema"]
    assert check(composed("technique=[ema]")) == []  # of a game without shared encoders


@pytest.mark.parametrize(
    ("choices", "path", "cause"),
    [
        (["loss=wgan"], "player.discriminator.weight_clip", "weight clipping and model.discriminator_a.spectral"),
        (["loss=gan_qp"], "model.discriminator", "scores patches, but loss.adversarial (QuadraticPotential)"),
        (["loss=c_transform"], "model.discriminator", "scores patches, but loss.adversarial (CTransform)"),
        (["loss=gngan"], "model.discriminator", "scores patches, but loss.normaliser (GradientNormalisation)"),
        (["technique=[merged]"], "model", "for one generator and one discriminator, and this model has a_to_b"),
        (["loss=ebgan"], "loss.adversarial", "needs a discriminator whose score is an energy"),
    ],
)
def test_what_nicegan_refuses(composed, choices, path, cause):
    (problem, *_) = check(composed("model=nicegan", "dataset=unpaired", *choices))
    assert problem.path == path
    assert cause in problem.cause


@pytest.mark.parametrize("loss", ["minimax", "hinge", "wgan_gp", "wgan_div", "fgan", "rpgan", "ragan", "wgan"])
def test_what_nicegan_goes_with(composed, loss):
    free = ["player.discriminator.weight_clip=null"] if loss == "wgan" else []
    assert check(composed("model=nicegan", "dataset=unpaired", f"loss={loss}", *free)) == []


@pytest.mark.parametrize(
    ("technique", "changes", "mover"),
    [
        ("diffaugment", [], "DiffAugment"),
        ("ada", [], "AdaptiveAugment"),
        ("consistency_regularisation", [], "FlipShift"),
        ("diffaugment", ["augment.diffaugment.policy=[color,cutout]"], None),
        ("ada", ["augment.ada.transforms=[brightness,hue]"], None),
        ("instance_noise", [], None),
    ],
)
def test_images_beside_their_sources_stay_where_they_are(composed, technique, changes, mover):
    config = composed("model=pix2pix", "dataset=paired", f"technique=[{technique}]", *changes)
    problems = check(config)
    assert paths(problems) == (["model.discriminator"] if mover else [])
    assert all(f"{mover}) moves pixels" in problem.cause for problem in problems)


def test_pix2pix_needs_sources(composed):
    problems = check(composed("model=pix2pix", "dataset=digits"))
    assert {problem.path for problem in problems} == {"model", "model.discriminator"}
    assert "a source image or a label map for every image" in problems[0].cause
    assert "dataset=paired" in problems[0].remedy


@pytest.mark.parametrize("loss", ["gan_qp", "c_transform", "gngan", "grangan"])
def test_losses_of_whole_samples_refuse_patches(composed, loss):
    (problem,) = check(composed("model=pix2pix", "dataset=paired", f"loss={loss}"))
    assert "scores patches" in problem.cause


@pytest.mark.parametrize("loss", ["loss=c_transform", "+loss@model.objectives.16=c_transform"])
def test_fakes_upon_real_coarse_images_are_not_compared_with_all_reals(composed, loss):
    (problem,) = check(composed("model=lapgan", loss))
    assert problem.path == "model.generator"
    assert "upon the real images' own coarse parts" in problem.cause
    assert check(composed("model=lapgan", loss.replace("c_transform", "gan_qp"))) == []


def test_networks_without_a_norm_are_not_told_of_virtual_batch_norm(composed):
    assert check(composed("model=lapgan", "+model.generator.norm=virtual")) == []
