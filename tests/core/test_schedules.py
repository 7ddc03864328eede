"""Schedules at their corners."""

from __future__ import annotations

import pytest

from ganrun.core.schedules import cosine, exponential, linear, staircase, step


def test_linear_ends_where_it_is_told():
    factor = linear(0.25, 0.75, 0.2)
    values = [factor(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert values == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2])


def test_linear_of_no_length_is_a_step():
    factor = linear(0.5, 0.5, 0.0)
    assert [factor(progress) for progress in (0.5, 0.501)] == [1.0, 0.0]


def test_linear_cannot_end_before_it_begins():
    with pytest.raises(ValueError, match=r"cannot end at 0\.2 before it begins at 0\.5"):
        linear(0.5, 0.2, 0.0)


def test_cosine_is_half_way_in_the_middle():
    factor = cosine(0.2, 0.6, 0.5)
    assert [factor(progress) for progress in (0.1, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.5])


def test_exponential_is_the_geometric_mean_in_the_middle():
    factor = exponential(0.5, 1.0, 0.01)
    assert [factor(progress) for progress in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_step_falls_at_once():
    factor = step(0.8, 0.1)
    assert [factor(progress) for progress in (0.79, 0.8, 1.0)] == [1.0, 0.1, 0.1]


def test_staircase_goes_down_in_equal_parts():
    factor = staircase(6, 0.5)  # 600 epochs, halved every 100
    values = [factor(epoch / 600) for epoch in (0, 99, 100, 199, 200, 300, 400, 500, 599, 600)]
    assert values == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125, 0.03125]
