"""Names of run folders."""

from ganrun.config.paths import run_folder


def test_run_folders():
    now = "2026-01-02/03-04-05-000006"
    assert run_folder("my/run", "x", "dcgan", "wgan", now) == "my/run"
    assert run_folder(None, None, "dcgan", "wgan", now) == f"outputs/{now}_dcgan_wgan"
    assert run_folder(None, "a b/c", "dcgan", "wgan", now) == f"outputs/{now}_a-b-c"
