from __future__ import annotations

import pytest

from ganrun.demos.transport import demonstrate


def test_all_ways_to_the_distance_agree():
    shown = demonstrate()
    primal, dual, cdf, scipy, least, largest, slope = (float(value) for _, value in shown.rows)
    assert primal == dual == cdf == scipy
    # Each heap moves as a whole: 0.3 by 0.2, 0.3 of the 0.4 by 0.2, the rest of it by 0.4 and 0.3 by 0.25.
    assert primal == pytest.approx(0.3 * 0.2 + 0.3 * 0.2 + 0.1 * 0.4 + 0.3 * 0.25, abs=0.04)
    assert (least, largest, slope) == (0, 0, 1)
    assert shown.picture.std() > 10
