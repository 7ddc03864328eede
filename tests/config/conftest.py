"""Fixtures of the configuration tests."""

from collections.abc import Callable
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import plain


@pytest.fixture(scope="session")
def composed() -> Callable[..., dict[str, Any]]:
    """``composed("loss=wgan")``: the plain configuration of ``ganrun loss=wgan``, unchecked."""
    register_resolvers()

    def make(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return plain(compose("config", list(overrides)))

    return make
