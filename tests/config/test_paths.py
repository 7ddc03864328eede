"""Names of run folders."""

import re

from ganrun.config.paths import path_safe, run_folder, sweep_folder


def test_run_folders():
    now = "2026-01-02/03-04-05-000006"
    assert run_folder("my/run", "x", "dcgan", "wgan", now) == "my/run"
    assert run_folder(None, None, "dcgan", "wgan", now) == f"outputs/{now}_dcgan_wgan"
    assert run_folder(None, "a b/c", "dcgan", "wgan", now) == f"outputs/{now}_a-b-c"
    assert sweep_folder(None, now) == f"outputs/{now}_sweep"
    assert sweep_folder("x", now) == f"outputs/{now}_x_sweep"


def test_any_text_becomes_one_short_path_component():
    for text in ("a" * 500, "dataset.root=/a/b,technique=[r1,x]", "..", "", "ü=1 'q' \"p\" $(ls)"):
        safe = path_safe(text)
        assert re.fullmatch(r"[\w.,=+-]{1,100}", safe)
        assert safe not in (".", "..")
