"""What a ``_target_`` may name, and what its source says."""

import sys

import pytest

from ganrun.config.targets import PLUGINS, describe, read
from ganrun.core.errors import ConfigError


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("os.system", "outside the packages"),
        ("builtins.eval", "outside the packages"),
        ("torch.load", "outside the packages"),
        ("ganrun.cli.main", "outside the packages"),
        ("ganrun.config.launch.train", "outside the packages"),
        ("ganrun.engine.folder.RunFolder", "outside the packages"),
        ("ganrun.core.types.nn.Linear", "outside the packages"),
        ("ganrun.networks_evil.x.Y", "outside the packages"),
        ("ganrun.data.cache.os.system", "there is no module ganrun.data.cache.os"),
        ("ganrun.networks.dcgan.nn.Linear", "there is no module"),
        ("ganrun.networks.dcgan.nn", "imports nn and does not define it"),
        ("ganrun.networks.dcgan.Tensor", "imports Tensor and does not define it"),
        ("ganrun.networks.dcgan.Literal", "imports Literal"),
        ("ganrun.networks.dcgan.Generator.forward", "there is no module"),
        ("ganrun.networks.dcgan.Generator.__init__", "there is no module"),
        ("ganrun.networks.dcgan.__builtins__", "defines no __builtins__"),
        ("ganrun.networks.mlp._activation", "defines no _activation"),
        ("ganrun.networks.layers.sizes.doublings", "returns int"),
        ("ganrun.networks.layers.init.normal_init", "returns None"),
        ("ganrun.networks.dcgan.Generatr", "defines no Generatr. Did you mean Generator?"),
        ("ganrun.networks.dcgna.Generator", "Did you mean ganrun.networks.dcgan?"),
        ("ganrun.networks..dcgan", "not the dotted path"),
        ("../../etc/passwd", "not the dotted path"),
        ("Generator", "not the dotted path"),
        (3, "not the dotted path"),
        (None, "not the dotted path"),
        (["os.system"], "not the dotted path"),
    ],
)
def test_only_what_components_define_may_be_built(target, cause):
    with pytest.raises(ConfigError) as caught:
        describe(target, "model._target_")
    (problem,) = caught.value.problems
    assert problem.path == "model._target_"
    assert cause in str(problem)


def test_constructor_arguments_are_read_from_the_source():
    parameters = describe("ganrun.networks.autoencoder.DenseDiscriminator").parameters
    assert list(parameters) == ["widths", "activation", "energy", "conditional", "shape", "classes"]
    assert all(parameter.required for parameter in parameters.values())
    assert list(describe("ganrun.core.schedules.cosine").parameters) == ["begin", "end", "final"]


def test_a_class_without_constructor_takes_that_of_its_base():
    assert describe("ganrun.losses.hinge.Hinge").parameters == {}


def test_traits_are_inherited():
    assert describe("ganrun.losses.terms.gradient_penalty.GradientPenalty").trait("forbids") == (
        "batch_norm",
        "coupled_samples",
    )
    assert describe("ganrun.games.adversarial.AdversarialGame").trait("provides") == ("samples",)
    assert describe("ganrun.losses.hinge.Hinge").trait("forbids") == ()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package outside ganrun whose import would be noticed."""
    folder = tmp_path / "my_gans"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "nets.py").write_text(
        "import dataclasses\nfrom dataclasses import dataclass\nfrom ganrun.losses.base import Term\n"
        "@dataclass\nclass Base:\n    width: int\n"
        "@dataclass\nclass Net(Base):\n    depth: int = 3\n"
        "class Keen(Term):\n    requires = ('labels',)\n"
        "    def __init__(self, weight: float, *, power: int = 2) -> None: ...\n"
        "class Open(Keen):\n    def __init__(self, extra: str, **rest) -> None: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    read.cache_clear()
    yield "my_gans"
    read.cache_clear()


def test_plugins_come_from_the_environment_and_are_not_imported(plugin, monkeypatch):
    with pytest.raises(ConfigError, match="GANRUN_PLUGINS"):
        describe("my_gans.nets.Net")
    monkeypatch.setenv(PLUGINS, f"other, {plugin}")
    parameters = describe("my_gans.nets.Net").parameters
    assert {name: parameter.required for name, parameter in parameters.items()} == {"width": True, "depth": False}
    assert plugin not in sys.modules
    with pytest.raises(ConfigError, match="imports dataclasses"):
        describe("my_gans.nets.dataclasses")


def test_keyword_only_defaults_and_open_constructors(plugin, monkeypatch):
    monkeypatch.setenv(PLUGINS, plugin)
    keen = describe("my_gans.nets.Keen").parameters
    assert {name: parameter.required for name, parameter in keen.items()} == {"weight": True, "power": False}
    assert set(describe("my_gans.nets.Open").parameters) == {"weight", "power", "extra"}
    assert describe("my_gans.nets.Open").trait("requires") == ("labels",)
    assert describe("my_gans.nets.Keen").trait("forbids") == ()  # from Term, in another package
