from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ganrun.metrics.protocol import Stamp, columns

STAMP = Stamp(
    extractor="classifier", extractor_identity="classifier_abcdef012345", resize="averaged to 32", real=1000,
    generated=500, split="train", quantised="uint8", weights="ema", truncation=None, seed=0, data="0123456789",
    version="0.1.0", settings=(("fid", ""), ("kid", "subsets=100")),
)  # fmt: skip

OTHERS = {
    "extractor": "inception", "extractor_identity": "classifier_0", "resize": "none", "real": 999, "generated": 501,
    "split": "test", "quantised": "no", "weights": "raw", "truncation": 1.5, "data": "other", "version": "0.2.0",
}  # fmt: skip


@pytest.mark.parametrize("field", OTHERS)
def test_whatever_changes_the_meaning_of_a_score_changes_the_hash(field):
    assert replace(STAMP, **{field: OTHERS[field]}).hash != STAMP.hash


def test_runs_with_other_seeds_compare():
    assert replace(STAMP, seed=1).hash == STAMP.hash


def test_a_stamp_survives_json():
    kept = json.loads(json.dumps(STAMP.as_dict()))
    assert kept["hash"] == STAMP.hash
    assert Stamp.from_dict(kept) == STAMP


def test_unlike_scores_are_never_in_one_column():
    other = replace(STAMP, generated=10000)
    tables = columns([("a", STAMP, {"fid": 1.0}), ("b", other, {"fid": 2.0}), ("c", STAMP, {"fid": 3.0, "kid": 0.1})])
    assert {name: [(c.header, c.scores) for c in table] for name, table in tables.items()} == {
        STAMP.hash: [("fid", {"a": 1.0, "c": 3.0}), ("kid", {"c": 0.1})],
        other.hash: [("fid", {"b": 2.0})],
    }


def test_one_metric_with_two_settings_makes_two_columns():
    other = replace(STAMP, settings=(("kid", "subsets=10"),))
    for tag in ("kid", "kid_std"):
        (table,) = columns([("a", STAMP, {tag: 1.0}), ("b", other, {tag: 2.0})]).values()
        assert [c.header for c in table] == [f"{tag} (subsets=100)", f"{tag} (subsets=10)"]
    (table,) = columns([("a", STAMP, {"kid": 1.0}), ("b", other, {"kid": 2.0})]).values()
    assert [(c.header, c.scores) for c in table] == [
        ("kid (subsets=100)", {"a": 1.0}),
        ("kid (subsets=10)", {"b": 2.0}),
    ]


def test_a_stamp_reads_well():
    assert str(STAMP) == (
        f"[{STAMP.hash}] 500 generated, 1,000 real (train, 01234567), classifier abcdef01, averaged to 32, "
        "ema weights, no truncation, ganrun 0.1.0"
    )
