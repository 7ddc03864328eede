"""Which configuration a run goes on with."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ganrun.config.compatibility import resolve_auto
from ganrun.config.paths import conf_folder
from ganrun.config.resume import read_run, resolve
from ganrun.core.errors import RunError


@pytest.fixture
def folder(tmp_path, composed):
    """A run folder as training leaves it."""
    config = composed("loss=hinge", "trainer.steps=50", f"run={tmp_path}/first", "optimizer.generator.lr=3e-4")
    resolve_auto(config)
    run = tmp_path / "first"
    run.mkdir()
    (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    return run


def asked(folder, *overrides: str):
    typed = [f"run={folder}", *overrides]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return resolve(compose("config", typed), typed)


def test_a_new_folder_takes_the_composed_configuration(tmp_path):
    config = asked(tmp_path / "new", "trainer.steps=7")
    assert config["trainer"]["steps"] == 7
    assert config["run"] == f"{tmp_path}/new"


def test_a_run_goes_on_with_its_own_configuration(folder):
    config = asked(folder)
    assert config["trainer"]["steps"] == 50
    assert config["optimizer"]["generator"]["lr"] == 3e-4
    assert "hinge" in config["loss"]["adversarial"]["_target_"]
    assert config["model"]["discriminator"]["norm"] == "batch"


def test_a_run_may_be_extended_and_scored_otherwise(folder):
    config = asked(folder, "trainer.steps=100", "evaluation=none", "trainer.device=cpu", "dataset.subset=null")
    assert config["trainer"]["steps"] == 100
    assert config["trainer"]["device"] == "cpu"
    assert config["evaluation"]["metrics"] == {}
    assert config["optimizer"]["generator"]["lr"] == 3e-4


def test_a_value_equal_to_the_default_is_applied_too(folder, composed):
    default = composed()["trainer"]["steps"]
    assert asked(folder, f"trainer.steps={default}")["trainer"]["steps"] == default


def test_the_command_line_that_made_the_run_may_be_typed_again(folder):
    assert asked(folder, "loss=hinge", "model=dcgan_small", "optimizer.generator.lr=3e-4")["trainer"]["steps"] == 50


def test_anything_else_is_refused_and_listed(folder):
    with pytest.raises(RunError) as caught:
        asked(folder, "loss=lsgan", "seed=1", "trainer.steps=60", "model.discriminator.norm=none")
    text = str(caught.value)
    assert "seed: the run has 0, you asked for 1" in text
    assert "model.discriminator.norm: the run has batch, you asked for none" in text
    assert "LeastSquares" in text
    assert "trainer.steps" not in text
    assert "run=PATH" in text


def test_another_feature_extractor_is_no_other_run(folder):
    resumed = asked(folder, "evaluation/features=random")
    assert resumed["evaluation"]["features"]["_target_"] == "ganrun.metrics.features.random.Random"
    assert resumed["trainer"]["steps"] == 50


def test_an_experiment_is_compared_as_a_whole(folder):
    with pytest.raises(RunError, match=r"optimizer\.generator\.lr: the run has 0\.0003, you asked for 0\.0001"):
        asked(folder, "technique=[ttur]")


def test_folders_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        read_run(tmp_path)
    with pytest.raises(RunError, match="is a file"):
        read_run(tmp_path / "notes.txt")
    (tmp_path / "config.yaml").write_text("a: 1\n")
    with pytest.raises(RunError, match="holds no run"):
        read_run(tmp_path)


def test_an_empty_folder_and_one_of_a_failed_start_are_new(tmp_path):
    assert read_run(tmp_path) is None
    (tmp_path / "run.log").write_text("failed")
    assert read_run(tmp_path) is None
    assert read_run(None) is None
