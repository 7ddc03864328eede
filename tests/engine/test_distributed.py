"""Several gloo processes: identical weights on every rank, gradients that are the mean of the ranks'."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from toys import make_game, make_trainer, same

from ganrun.core.errors import RunError
from ganrun.core.statistics import Statistics
from ganrun.engine import distributed
from ganrun.engine.background import Background
from ganrun.engine.seeding import derive_seed, fixed_seed, reseed
from ganrun.losses.began import BoundaryEquilibrium


def run_rank(rank, address, folder, work):
    torch.set_num_threads(1)
    os.environ |= address | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    with distributed.process_group("cpu"):
        torch.save(work(rank), Path(folder) / f"{rank}.pt")


def on_two_ranks(tmp_path, work):
    address = distributed.free_address()
    mp.start_processes(run_rank, args=(address, str(tmp_path), work), nprocs=2, start_method="spawn")
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def train_on_rank(rank):
    trainer = make_trainer(6)
    trainer.fit(make_game())
    state = trainer.state_dict()
    drawn = trainer.stream.indices(0)[0]
    return state | {"drawn": drawn}


def resume_on_rank(rank):
    first = make_trainer(3)
    first.fit(make_game())
    state = first.state_dict()
    resumed = make_trainer(6, checkpoint=distributed.local_work(lambda: state))
    resumed.fit(make_game())
    return resumed.state_dict() | {"drawn": torch.zeros(0)}


def failing_work(rank):
    def fail():
        raise RunError("only the main process knows")

    try:
        distributed.local_work(fail)
    except RunError as error:
        return str(error)


def background_on_rank(rank):
    background, done, told = Background(), [], []

    def fail():
        raise RunError("only the main process writes")

    background.submit(lambda: done.append(rank))
    background.submit(fail)
    for call in (background.wait, lambda: background.submit(lambda: done.append("more"))):
        try:
            call()
        except RunError as error:
            told.append(str(error))
    background.close()
    return [done, told, background.count]


def balance_on_rank(rank):
    loss = BoundaryEquilibrium(gamma=0.5, k_rate=0.1)
    loss.balance(torch.tensor(2.0 + 2 * rank), torch.tensor(0.5 + rank))  # means over both ranks: 3 and 1
    return loss.state_dict()


def gradients(rank):
    parameter = torch.nn.Parameter(torch.zeros(3))
    other = torch.nn.Parameter(torch.zeros(2, 2))
    unused = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.full((3,), float(rank))
    other.grad = torch.full((2, 2), 10.0 * rank)
    distributed.average_gradients([parameter, other, unused])
    return [parameter.grad, other.grad, distributed.any_process(rank == 1)]


def test_a_balance_is_the_same_on_every_rank(tmp_path):
    for state in on_two_ranks(tmp_path, balance_on_rank):
        assert state["k"].item() == pytest.approx(0.1 * (0.5 * 3 - 1))
        assert state["convergence"].item() == pytest.approx(3 + 0.5)


def test_ranks_end_with_identical_weights_from_different_data(tmp_path):
    first, second = on_two_ranks(tmp_path, train_on_rank)
    parameters = [name for name in first["game"] if "running" not in name and "memory" not in name]
    assert all(torch.equal(first["game"][name], second["game"][name]) for name in parameters)
    assert same(first["players"]["generator"]["optimizer"], second["players"]["generator"]["optimizer"])
    assert not set(first["drawn"].tolist()) & set(second["drawn"].tolist())


def test_resume_with_two_ranks_is_bit_identical(tmp_path):
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = on_two_ranks(tmp_path / "whole", train_on_rank)
    parts = on_two_ranks(tmp_path / "parts", resume_on_rank)
    assert same(whole[0] | {"drawn": 0}, parts[0] | {"drawn": 0})
    assert same(whole[1]["game"], parts[1]["game"])  # its own buffers; averages matter on the main process only


def test_gradients_are_averaged_in_one_call(tmp_path):
    for result in on_two_ranks(tmp_path, gradients):
        assert result[0].tolist() == [0.5] * 3
        assert result[1].tolist() == [[5.0, 5.0]] * 2
        assert result[2] is True


def test_errors_of_the_main_process_reach_everyone(tmp_path):
    assert on_two_ranks(tmp_path, failing_work) == ["only the main process knows"] * 2


def test_jobs_are_done_by_the_main_process_and_their_errors_reach_everyone(tmp_path):
    told = ["only the main process writes"] * 2
    assert on_two_ranks(tmp_path, background_on_rank) == [[[0], told, 2], [[], told, 2]]


def test_seeds_of_neighbours_are_unrelated():
    seeds = {derive_seed(0, rank, step) for rank in range(4) for step in range(100)}
    assert len(seeds) == 400
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_fixed_seed_puts_the_generator_back():
    reseed(0)
    expected = torch.rand(1)
    reseed(0)
    with fixed_seed("picture"):
        inside = torch.rand(1)
    assert torch.equal(torch.rand(1), expected)
    with fixed_seed("picture"):
        assert torch.equal(torch.rand(1), inside)


def test_statistics_average_over_the_tick_and_forget():
    statistics = Statistics()
    for step, value in enumerate((1.0, 2.0, 6.0), start=1):
        statistics.step = step
        statistics.report("loss", torch.tensor(value, requires_grad=True))
    assert statistics.flush() == {"loss": 3.0}
    assert statistics.flush() == {}


def test_statistics_name_the_first_broken_value():
    statistics = Statistics()
    for step, value in ((4, 1.0), (5, float("inf")), (6, float("nan"))):
        statistics.step = step
        statistics.report("loss", torch.tensor(value))
    with pytest.raises(RunError, match="loss became inf at step 5"):
        statistics.flush()
