"""Well-formed configurations pass, and everything wrong with the others is found at once."""

from pathlib import Path

import pytest

from ganrun.config.paths import conf_folder
from ganrun.config.validate import UnknownKey, check, validate
from ganrun.core.errors import ConfigError


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


CHOICES = [
    f"{group}=[{option}]" if group == "technique" else f"{group}={option}"
    for group in sorted(path.name for path in Path(conf_folder()).iterdir() if path.is_dir())
    for option in options(group)
]


def needed(choice: str) -> list[str]:
    """Choices without which ``choice`` rightly does not fit."""
    return {
        "evaluation=captions": ["dataset=captioned"],
        "evaluation=label_maps": ["dataset=label_maps"],
        "evaluation=pairs": ["dataset=paired"],
        "evaluation=points": ["dataset=ring"],
        "evaluation=single_image": ["dataset=single_image"],
        "evaluation=translation": ["dataset=unpaired"],
        "loss=ebgan": ["model=ebgan"],
        "loss=began": ["model=began"],
        "loss=matching_aware": ["model.conditional=true"],
        "model=ebgan_toy": ["dataset=ring"],
        "model=toy": ["dataset=ring"],
        "model=cyclegan": ["dataset=unpaired"],
        "model=ganilla": ["dataset=unpaired"],
        "model=nicegan": ["dataset=unpaired"],
        "model=singan": ["dataset=single_image"],
        "model=pix2pix": ["dataset=paired"],
        "model=gaugan": ["dataset=label_maps"],
        "model=gaugan_style": ["dataset=label_maps"],
        "model=stackgan": ["dataset=captioned"],
        "technique=[path_length]": ["model=stylegan2"],
    }.get(choice, [])


@pytest.mark.parametrize("choice", CHOICES)
def test_every_yaml_is_valid(composed, choice):
    validate(composed(*needed(choice), choice))


def problems_of(config) -> dict[str, str]:
    return {problem.path: str(problem) for problem in check(config, "RunConfig")}


def test_everything_wrong_is_told_at_once(composed):
    config = composed("loss=wgan_gp")
    config["foo"] = 1
    config["trainer"] |= {"stepz": 3, "batch_size": "abc", "device": "gpu"}
    del config["seed"]
    config["model"]["generator"]["widht"] = 5
    del config["model"]["generator"]["width"]
    config["loss"]["discriminator_terms"]["gradient_penalty"]["weight"] = "heavy"
    config["optimizer"]["generator"]["_target_"] = "os.system"
    config["player"]["generator"]["ema"]["rampup"] = 2
    config["dataset"] = 3
    found = problems_of(config)
    assert found.keys() == {
        "foo",
        "seed",
        "trainer.stepz",
        "trainer.batch_size",
        "trainer.device",
        "model.generator.widht",
        "model.generator.width",
        "loss.discriminator_terms.gradient_penalty.weight",
        "optimizer.generator._target_",
        "player.generator.ema.rampup",
        "dataset",
    }
    assert "Did you mean steps?" in found["trainer.stepz"]
    assert "must be one of auto, cpu, cuda, not 'gpu'" in found["trainer.device"]
    assert "Did you mean width?" in found["model.generator.widht"]
    assert "is missing (a whole number" in found["model.generator.width"]
    assert "must be a number" in found["loss.discriminator_terms.gradient_penalty.weight"]
    assert "at least 0 and at most 1" in found["player.generator.ema.rampup"]
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert str(caught.value).startswith("11 problems in the configuration; nothing was started.")
    assert "Traceback" not in str(caught.value)


def test_unknown_keys_are_told_apart_from_wrong_values(composed):
    config = composed()
    config["trainer"] |= {"stepz": 3, "steps": 0}
    kinds = {problem.path: isinstance(problem, UnknownKey) for problem in check(config, "RunConfig")}
    assert kinds == {"trainer.stepz": True, "trainer.steps": False}


def test_numbers_become_what_their_annotation_says(composed):
    config = composed()
    config["trainer"]["steps"] = 1e3
    config["optimizer"]["generator"] |= {"lr": "2e-4", "betas": [0, 0.9]}
    assert check(config, "RunConfig") == []
    assert config["trainer"]["steps"] == 1000
    assert isinstance(config["trainer"]["steps"], int)
    assert config["optimizer"]["generator"]["lr"] == 2e-4
    assert [type(beta) for beta in config["optimizer"]["generator"]["betas"]] == [float, float]


def test_missing_values_are_asked_for(composed):
    config = composed()
    config["seed"] = "???"
    assert "needs a value" in problems_of(config)["seed"]


def test_facts_of_the_data_are_filled_in_for_the_model_only(composed):
    assert "size" not in composed()["model"]["generator"]
    config = composed()
    del config["dataset"]["size"]
    assert "dataset.size" in problems_of(config)


def test_a_component_of_the_wrong_kind_is_refused(composed):
    config = composed()
    config["loss"]["adversarial"] = config["model"]["latent"]
    assert "is no AdversarialLoss" in problems_of(config)["loss.adversarial._target_"]


def test_a_component_without_target_is_refused(composed):
    config = composed()
    config["loss"]["discriminator_terms"] = {"gp": {"weight": 5}}
    assert "has no _target_" in problems_of(config)["loss.discriminator_terms.gp"]


def test_components_are_checked_at_any_depth(composed):
    config = composed("evaluation=quick")
    config["evaluation"]["features"]["classifier"]["_target_"] = "builtins.eval"
    config["evaluation"]["metrics"]["fid"]["rael"] = 3
    assert problems_of(config).keys() == {
        "evaluation.features.classifier._target_",
        "evaluation.metrics.fid.rael",
    }


def test_hydras_other_controls_are_no_back_door(composed):
    for control in ("_args_", "_recursive_", "_convert_"):
        config = composed()
        config["model"]["generator"][control] = ["x"]
        assert f"model.generator.{control}" in problems_of(config)


def test_an_interpolation_that_leads_nowhere_is_named(composed):
    with pytest.raises(ConfigError, match=r"model\.generator\.latent_size: .*'model\.latent\.size' not found"):
        composed("~model.latent")
