"""``ganrun export``: every format loads back and makes the samples of the run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from test_load import WITHOUT_LATENT, trained  # noqa: F401  (a fixture)
from test_runs import CONF, QUIET, SMALL, TRANSLATORS, game_overrides, play, two_domains  # noqa: F401  (fixtures)

import ganrun
from ganrun.config.export import export
from ganrun.core.errors import RunError

MODELS = [model for model in sorted(SMALL) if model not in (*WITHOUT_LATENT, "lapgan")]
ROUNDING = 1e-5


def settings(run: Path, output: Path, **changes: Any) -> dict[str, Any]:
    values = OmegaConf.to_container(OmegaConf.load(CONF / "export.yaml"))
    assert isinstance(values, dict)
    del values["hydra"], values["defaults"]
    return values | {"run": str(run), "output": str(output)} | changes


def inputs_of(loaded) -> tuple[torch.Tensor, ...]:
    classes = loaded.game.classes
    return (loaded.latents(5, seed=1), *([torch.arange(5) % classes] if classes else []))


@pytest.mark.parametrize("model", MODELS)
def test_weights_and_description_make_the_same_samples(trained, tmp_path, model):  # noqa: F811
    run = trained(model)
    (path,) = export(settings(run, tmp_path))
    expected = ganrun.load(run).sample(5, seed=1)
    assert expected.std() > 1e-4  # or nothing would differ
    for where in (tmp_path, path):
        loaded = ganrun.load(where)
        assert torch.equal(loaded.sample(5, seed=1), expected)
    assert (loaded.step, loaded.weights) == (2, "ema")
    assert not hasattr(loaded.game, "discriminator")
    assert "discriminator" not in (tmp_path / "generator.json").read_text()


@pytest.mark.parametrize("model", MODELS)
def test_graphs_make_the_same_samples_in_any_number(trained, tmp_path, model):  # noqa: F811
    run = trained(model)
    (path,) = export(settings(run, tmp_path, format="torch_export"))
    loaded = ganrun.load(run, device="cpu")
    inputs = inputs_of(loaded)
    expected = loaded.at(*inputs)
    network = torch.export.load(path).module()
    for part in (slice(0, 5), slice(2, 3)):
        made = network(*(tensor[part] for tensor in inputs))
        assert (made - expected[part]).abs().max() < ROUNDING * max(1, expected.abs().max())


@pytest.mark.parametrize("model", ["dcgan", "cgan_projection", "r3gan", "toy"])
def test_onnx(trained, tmp_path, model):  # noqa: F811
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs ganrun[onnx]")
    run = trained(model)
    (path,) = export(settings(run, tmp_path, format="onnx"))
    loaded = ganrun.load(run, device="cpu")
    inputs = inputs_of(loaded)
    session = onnxruntime.InferenceSession(path)
    names = ["latents", "classes"][: len(inputs)]
    (made,) = session.run(["samples"], {name: one.numpy() for name, one in zip(names, inputs, strict=True)})
    assert torch.allclose(torch.from_numpy(made), loaded.at(*inputs), atol=ROUNDING)


@pytest.mark.parametrize("technique", ["ensemble", "virtual_batch_norm", "spectral_norm"])
def test_techniques(trained, tmp_path, technique):  # noqa: F811
    run = trained("dcgan", f"technique=[{technique}]")
    export(settings(run, tmp_path))
    expected = ganrun.load(run).sample(8, seed=1)
    assert torch.allclose(ganrun.load(tmp_path).sample(8, seed=1), expected, atol=ROUNDING)
    files = export(settings(run, tmp_path, format="torch_export"))
    assert [file.name for file in files] == (
        [f"generator_{index}.pt2" for index in range(4)] if technique == "ensemble" else ["generator.pt2"]
    )


@pytest.mark.parametrize("model", TRANSLATORS)
def test_translators_are_exported_both_ways(trained, tmp_path, model):  # noqa: F811
    run = trained(model)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    export(settings(run, tmp_path))
    whole, exported = ganrun.load(run), ganrun.load(tmp_path)
    graphs = export(settings(run, tmp_path, format="torch_export"))
    assert [path.name for path in graphs] == ["a_to_b.pt2", "b_to_a.pt2"]
    for path in graphs:
        expected = whole.translate(images, path.stem)
        assert expected.std() > 1e-4
        assert torch.equal(exported.translate(images, path.stem), expected)
        assert torch.allclose(torch.export.load(path).module()(images), expected, atol=ROUNDING)


@pytest.mark.parametrize(
    "asked", [("pix2pix", "model.generator.noise_in_evaluation=false"), ("gaugan",), ("gaugan_style",)]
)
def test_answers_are_exported(trained, tmp_path, asked):  # noqa: F811
    run = trained(*asked)
    whole = ganrun.load(run)
    is_maps = whole.game.needs == "maps"
    sources = torch.randint(4, (3, *whole.source_shape)) if is_maps else torch.rand(3, *whole.source_shape) * 2 - 1
    export(settings(run, tmp_path))
    expected = whole.translate(sources, seed=0)
    assert torch.equal(ganrun.load(tmp_path).translate(sources, seed=0), expected)
    (path,) = export(settings(run, tmp_path, format="torch_export"))
    assert path.name == "generator.pt2"
    if asked != ("gaugan_style",):  # which takes a style too
        assert torch.allclose(torch.export.load(path).module()(sources), expected, atol=ROUNDING)


def test_a_graph_needs_no_ganrun(trained, tmp_path):  # noqa: F811
    export(settings(trained("cgan"), tmp_path, format="torch_export"))
    script = (
        "import sys, torch\nsys.modules['ganrun'] = None\n"
        "network = torch.export.load('generator.pt2').module()\n"
        "assert network(torch.randn(7, 8), torch.full((7,), 3)).shape == (7, 1, 32, 32)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_raw_weights_and_the_place_in_the_run_folder(trained, tmp_path):  # noqa: F811
    run = trained("dcgan")
    (path,) = export(settings(run, tmp_path, weights="raw") | {"output": None})
    assert path == run / "exported" / "step_00000002" / "generator.safetensors"
    loaded = ganrun.load(path)
    assert loaded.weights == "raw"
    assert torch.equal(loaded.sample(3, seed=0), ganrun.load(run, weights="raw").sample(3, seed=0))


def test_what_cannot_be_exported_or_read_is_told(trained, tmp_path, monkeypatch):  # noqa: F811
    for model, name in (("singan", "SinGAN"), ("lapgan", "LAPGAN"), ("stackgan", "StackGAN")):
        with pytest.raises(RunError, match=f"{name} has no single generator that could be exported"):
            export(settings(trained(model), tmp_path / "stages"))
    assert not (tmp_path / "stages").exists()
    run = trained("dcgan")
    (weights,) = export(settings(run, tmp_path))
    description = tmp_path / "generator.json"
    whole = description.read_text()
    changes = [
        (lambda values: values | {"format": 2}, "written by a newer ganrun"),
        (lambda values: {"facts": {}}, "there is no format"),
        (lambda values: 3, "there is no JSON"),
        (lambda values: values | {"model": values["model"] | {"wings": 2}}, "whose networks take other arguments"),
        (lambda values: values | {"model": {"_target_": "os.system", "command": "true"}}, "outside the packages"),
        (lambda values: values | {"facts": values["facts"] | {"shape": [3, 64, 64]}}, "does not belong to"),
    ]
    for change, told in changes:
        description.write_text(json.dumps(change(json.loads(whole))))
        with pytest.raises(ganrun.core.errors.GanrunError, match=told):
            ganrun.load(tmp_path)
    description.write_text(whole)
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(RunError, match=r"is damaged, or does not belong to generator.json"):
        ganrun.load(weights)
    weights.unlink()
    with pytest.raises(RunError, match=r"has no generator.safetensors. Export the run with format=safetensors"):
        ganrun.load(tmp_path)
    with pytest.raises(RunError, match=r"config.yaml is not read here"):
        ganrun.load(run / "config.yaml")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"onnx, onnxscript, onnxruntime. Install with: pip install 'ganrun\[onnx\]'"):
        export(settings(run, tmp_path / "none", format="onnx"))
