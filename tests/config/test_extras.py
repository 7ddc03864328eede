"""Launchers of other packages, where those are not installed."""

import tomllib
from pathlib import Path

import pytest

from ganrun.config import extras
from ganrun.config.extras import EXTRAS
from ganrun.config.paths import conf_folder

OPTIONS = [(group, option, extra) for group, options in EXTRAS.items() for option, (extra, _) in options.items()]


@pytest.mark.parametrize(("group", "option", "extra"), OPTIONS)
def test_a_missing_package_is_told_before_anything_starts(ganrun, monkeypatch, group, option, extra):
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    code, _, error = ganrun("-m", "seed=0,1", f"{group}={option}")
    assert code == 1
    assert f"{group}={option}: it belongs to a package that is not installed. pip install 'ganrun[{extra}]'" in error
    assert not Path("outputs").exists()


@pytest.mark.parametrize(("group", "option", "extra"), OPTIONS)
def test_every_option_has_its_file_and_its_extra(group, option, extra):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]
    assert (conf_folder() / group / f"{option}.yaml").is_file()
