"""The ledger: what is planned, and what the run folders say."""

import csv
import json
import multiprocessing as mp

import pytest

from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.sweep.ledger import Ledger

JOBS = [["loss=wgan", "seed=0"], ["loss=wgan", "seed=1"], ["loss='a b,c'", "seed=0"]]


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "sweep")


def test_runs_wait_until_their_folders_say_otherwise(ledger):
    rows = ledger.add(JOBS, ["loss", "seed"])
    assert [row.status for row in rows] == ["waiting"] * 3
    assert [list(row.overrides) for row in rows] == JOBS
    first, second, third = (RunFolder(row.folder) for row in rows)
    first.write_status("finished", 9, best={"step": 5, "metric": "fid", "value": 1.5})
    second.write_status("stopped", 4)
    third.write_status("failed", 2, 'no data\ntoday, "none"')
    first_row, second_row, third_row = ledger.rows()
    assert (first_row.status, first_row.step, first_row.metric, first_row.best) == ("finished", 9, "fid", 1.5)
    assert (first_row.ended, first_row.failed) == (True, False)
    assert (second_row.ended, second_row.failed) == (False, False)  # stopped as asked: it goes on
    assert (third_row.ended, third_row.failed, third_row.reason) == (True, True, 'no data\ntoday, "none"')


def test_a_run_that_the_watchdog_stopped_has_ended(ledger):
    [row] = ledger.add(JOBS[:1], [])
    RunFolder(row.folder).write_status("stopped", 4, "watchdog: mode_collapse")
    [row] = ledger.rows()
    assert row.ended
    assert row.failed


def test_a_run_whose_process_is_gone_is_interrupted(ledger):
    [row] = ledger.add(JOBS[:1], [])
    folder = RunFolder(row.folder)
    with folder.locked():
        folder.write_status("running", 3)
        assert [row.status for row in ledger.rows()] == ["running"]
    assert [(row.status, row.step, row.ended) for row in ledger.rows()] == [("interrupted", 3, False)]


def test_the_file_is_read_by_any_program(ledger):
    ledger.add(JOBS, ["loss", "seed"])
    RunFolder(ledger.rows()[2].folder).write_status("failed", 2, "no data\ntoday", {"metric": "fid", "value": 1 / 3})
    ledger.refresh()
    with ledger.path.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["waiting", "waiting", "failed"]
    assert lines[2] | {"run": ""} == {
        "run": "",
        "status": "failed",
        "step": "2",
        "metric": "fid",
        "best": "0.333333",
        "reason": "no data\ntoday",
        "overrides": "'loss='\"'\"'a b,c'\"'\"'' seed=0",
    }


def test_runs_are_added_once_and_keep_their_names(ledger):
    names = [row.name for row in ledger.add(JOBS, ["loss", "seed"])]
    more = ledger.add([["seed=1", "loss=wgan"], ["loss=hinge", "seed=0"], ["loss=hinge", "seed=0"]], ["loss"])
    assert [row.name for row in more][:1] == names[1:2]
    assert len(more) == 2
    assert [row.name for row in ledger.rows()][:3] == names


def test_what_is_no_ledger_is_not_overwritten(ledger):
    ledger.folder.mkdir()
    ledger.path.write_text("my,own,table\n1,2,3\n")
    with pytest.raises(RunError, match=r"is no ledger of a sweep. Choose another folder with sweep.folder=PATH"):
        ledger.add(JOBS, [])
    assert ledger.path.read_text() == "my,own,table\n1,2,3\n"


def _add(folder, start):
    for number in range(start, start + 20):
        Ledger(folder).add([[f"seed={number}"]], ["seed"])


def test_several_processes_may_add_at_once(ledger):
    context = mp.get_context("fork")
    processes = [context.Process(target=_add, args=(ledger.folder, start)) for start in (0, 10, 20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(int(row.overrides[0].removeprefix("seed=")) for row in ledger.rows()) == list(range(40))


def test_a_status_that_was_cut_counts_as_none(ledger):
    [row] = ledger.add(JOBS[:1], [])
    row.folder.mkdir()
    (row.folder / "status.json").write_text(json.dumps({"status": "finished"})[:-5])
    assert ledger.rows()[0].status == "waiting"
