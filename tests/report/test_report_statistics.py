"""Means, intervals and differences against closed forms and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ganrun.report.statistics import difference, importance, summarise


def test_mean_and_deviation():
    summary = summarise([4.0, 1.0, 7.0])
    assert (summary.mean, summary.deviation) == (4.0, 3.0)


def test_of_few_values_less_is_said():
    assert summarise([2.0]).deviation is None
    assert summarise([2.0, 4.0]).deviation == pytest.approx(math.sqrt(2))
    assert summarise([2.0, 4.0]).interval is None


def test_three_seeds_have_their_range_for_an_interval():
    """The lowest mean of three draws has probability 1/27, more than any percentile asked for."""
    assert summarise([1.0, 2.0, 4.0]).interval == (1.0, 4.0)


def test_of_many_values_the_interval_is_students():
    values = np.random.default_rng(0).normal(10, 2, 200)
    low, high = summarise(list(values)).interval
    student = stats.t.interval(0.95, 199, values.mean(), values.std(ddof=1) / math.sqrt(200))
    assert (low, high) == pytest.approx(student, abs=0.03)


def test_equal_values_have_no_spread():
    summary = summarise([0.1] * 5)
    assert summary.interval == pytest.approx((0.1, 0.1))
    assert summary.deviation == 0, "not what rounding leaves"


def test_the_order_of_seeds_does_not_matter():
    assert summarise([3.0, 1.0, 2.5, 9.0, 4.0]) == summarise([9.0, 4.0, 3.0, 2.5, 1.0])


def test_coverage_is_as_documented():
    """Of 5 normal values 92 %; 4 deviations of a binomial with 200 trials around it."""
    generator = np.random.default_rng(1)
    intervals = [summarise(list(generator.normal(size=5))).interval for _ in range(200)]
    share = np.mean([low <= 0 <= high for low, high in intervals])
    assert share == pytest.approx(0.92, abs=4 * math.sqrt(0.92 * 0.08 / 200))


def test_two_settings_are_compared_by_welch():
    first, second = [3.1, 2.7, 3.9, 3.3], [1.9, 1.0, 2.8]
    found = difference(first, second, settings=2)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert found.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert found.low <= welch.low <= welch.high <= found.high, "degrees of freedom are rounded down"
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.1)


def test_more_settings_are_compared_by_games_and_howell():
    groups = [[1.0, 1.2, 0.7, 1.1, 0.9], [2.0, 3.5, 1.1, 2.2, 4.0], [5.1, 5.0, 5.3, 5.2, 4.9]]
    reference = stats.tukey_hsd(*groups, equal_var=False).confidence_interval()
    for index in (1, 2):
        found = difference(groups[index], groups[0], settings=3)
        low, high = reference.low[index, 0], reference.high[index, 0]
        assert found.low <= low <= high <= found.high, "degrees of freedom are rounded down"
        assert found.high - found.low <= 1.05 * (high - low)


def test_a_difference_within_noise():
    assert difference([1.0, 3.0, 2.0], [1.5, 2.5, 1.9], settings=2).is_noise
    assert not difference([11.0, 13.0, 12.0], [1.5, 2.5, 1.9], settings=2).is_noise


def test_settings_without_any_spread():
    assert difference([8.0, 8.0, 8.0], [8.0, 8.0, 8.0], settings=5).is_noise
    assert not difference([8.0, 8.0, 8.0], [7.0, 7.0, 7.0], settings=5).is_noise


def grid(effect, noise=0.1):
    """Two losses, three learning rates, two things that do nothing; three seeds each."""
    generator = np.random.default_rng(0)
    settings = [
        {"loss": loss, "lr": rate, "idle": idle}
        for loss in ("hinge", "wgan")
        for rate in ("1e-4", "2e-4", "1e-3")
        for idle in ("a", "b")
        for _ in range(3)
    ]
    return settings, [effect(each) + noise * generator.normal() for each in settings]


def test_importance_finds_what_was_planted():
    found = importance(*grid(lambda each: 3.0 * (each["loss"] == "wgan") + (float(each["lr"]) > 5e-4)))
    variance = 9 / 4 + 2 / 9  # of the two effects
    assert found.explained > 0.9
    assert found.shares["loss"] == pytest.approx(9 / 4 / variance, abs=0.15)
    assert found.shares["lr"] == pytest.approx(2 / 9 / variance, abs=0.08)
    assert found.shares["idle"] == pytest.approx(0, abs=0.02)


def test_importance_claims_nothing_where_there_is_noise_only():
    assert importance(*grid(lambda each: 0.0)).explained < 0.1


def test_importance_needs_settings_keys_and_differences():
    settings, values = grid(lambda each: float(each["lr"]))
    few = [{"loss": each["loss"], "lr": each["lr"]} for each in settings]
    assert importance(few, values) is None, "six settings"
    assert importance([{"lr": str(number)} for number in range(9)], list(range(9))) is None, "one key"
    assert importance(settings, [1.0] * len(settings)) is None
    assert importance([], []) is None
