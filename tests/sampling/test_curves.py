from __future__ import annotations

import numpy as np
import pytest

from ganrun.sampling import curves
from ganrun.sampling.curves import draw_trade_off

ROWS = [
    (2.0, {"fid_classifier": 9.0, "precision": 0.6, "recall": 0.5, "inception_score_std": 0.1}),
    (None, {"fid_classifier": 8.0, "precision": 0.5, "recall": 0.7}),
    (0.5, {"fid_classifier": 20.0, "precision": 0.8, "recall": 0.2}),
]


def test_a_panel_for_every_score_and_for_every_trade_off(monkeypatch):
    seen = {}
    monkeypatch.setattr(curves, "rasterise", lambda figure: seen.setdefault("figure", figure))
    draw_trade_off(ROWS)
    panels = [axes for axes in seen["figure"].axes if axes.axison]
    assert [axes.get_title() for axes in panels] == [
        *("fid_classifier", "precision", "recall", "precision against recall"),
    ]
    curve, line = panels[0].get_lines()
    assert curve.get_xydata().tolist() == [[0.5, 20], [2, 9]]  # in order
    assert set(line.get_ydata()) == {8}
    (trade_off,) = panels[3].get_lines()
    assert trade_off.get_xydata().tolist() == [[0.2, 0.8], [0.5, 0.6], [0.7, 0.5]]
    assert [text.get_text() for text in panels[3].texts] == ["0.5", "2", "none"]


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS[1:2], [(1.0, {"modes": 3.0})]])
def test_few_values_are_drawn_too(rows):
    assert np.std(draw_trade_off(rows)) > 0
