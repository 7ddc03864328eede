"""The page: one file, nothing from elsewhere, every run in it."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from synthetic import make_curve, make_sweep

from ganrun.report.html import all_runs, as_html, code
from ganrun.report.illustrations import candidates, illustrate
from ganrun.report.ranking import rankings
from ganrun.report.render import as_markdown
from ganrun.report.runs import read_runs
from ganrun.report.tables import make_chapters

EMPTY = {"meta", "img", "br", "link", "hr", "input", "wbr"}


class Page(HTMLParser):
    """Elements with their attributes; fails where they are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def report_on(folder, where):
    runs = read_runs([folder])
    chapters = make_chapters(runs, None)
    return as_html("a sweep", chapters, illustrate(chapters, runs, where), runs), runs


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "sweep"
    return report_on(make_sweep(folder), folder / "report")


def test_every_run_is_named_and_every_failure_told(sweep):
    text, runs = sweep
    page = Page(text)
    assert len(runs) == 24
    assert all(text.count(run.name) >= 1 for run in runs)
    assert "loss/discriminator/real became nan at step 751" in text
    words = "".join(page.words)
    headings = ["Learning curves", "Final scores", "Samples side by side", "Parallel coordinates", "Time and memory"]
    assert [heading for heading in headings if heading not in words] == []
    assert "20 finished" in words
    assert "ganrun loss=wgan optimizer.generator.lr=1e-4 seed=0\n" in words
    assert len(page.all("svg")) == 4
    assert len(page.all("img")) == 8  # the setting that diverged left pictures, too


def test_nothing_comes_from_elsewhere(sweep):
    page = Page(sweep[0])
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "data", "srcset", "action")
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/")) for address in addresses)
    assert not page.all("link")
    assert not [attributes for attributes in page.all("script") if attributes]
    assert "@import" not in sweep[0]
    assert all(target.startswith(("#", '"#')) for target in re.findall(r"url\(([^)]*)\)", sweep[0]))


def test_pictures_are_in_the_page(sweep):
    for attributes in Page(sweep[0]).all("img"):
        _, _, data = attributes["src"].partition("base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (int(attributes["width"]), int(attributes["height"]))
        assert attributes["alt"].startswith("Samples of loss=")
    assert len(sweep[0]) < 500_000


def test_names_are_escaped(tmp_path):
    for seed in range(3):
        for kind in ("<b>bold</b>", "a&b"):
            make_curve(tmp_path / f"{seed}{kind[:2]}", f"name_of={kind}", seed=seed, curve=[(10, 3.0 + seed)])
    reason = "<script>alert(1)</script> & `more`"
    make_curve(tmp_path / "broken", "name_of=<script>", seed=0, curve=[], status="failed", reason=reason)
    text, _ = report_on(tmp_path, tmp_path / "report")
    page = Page(text)
    assert "<b>" not in text
    assert len(page.all("script")) == 1
    assert "<b>bold</b>" in "".join(page.words)
    assert "<script>alert(1)</script>" in "".join(page.words[:-2])


@pytest.mark.parametrize(
    "curves",
    [
        pytest.param([[(10, 2.0)], [(10, 3.0)]], id="two settings"),
        pytest.param([[(10, 2.0)]], id="one run"),
        pytest.param([[], []], id="no scores"),
    ],
)
def test_small_reports(tmp_path, curves):
    for number, curve in enumerate(curves):
        status = "finished" if curve else "failed"
        make_curve(tmp_path / f"run{number}", f"loss=l{number}", seed=0, curve=curve, status=status)
    text, runs = report_on(tmp_path, tmp_path / "report")
    Page(text)
    assert all(run.name in text for run in runs)


def test_settings_without_a_final_score_come_last(tmp_path):
    make_curve(tmp_path / "good", "loss=good", seed=0, curve=[(10, 2.0), (20, 1.0)])
    make_curve(tmp_path / "bad", "loss=bad", seed=0, curve=[(10, 5.0), (20, 4.0)])
    make_curve(tmp_path / "diverged", "loss=diverged", seed=0, curve=[(10, 0.5)], status="failed", reason="nan")
    make_curve(tmp_path / "none", "loss=none", seed=0, curve=[], status="failed", reason="out of memory")
    runs = read_runs([tmp_path])
    (ranking,) = rankings(runs, "fid")
    shown = candidates(ranking, runs)
    assert [each.label for each in shown] == ["loss=good", "loss=bad", "loss=diverged", "loss=none"]
    assert [len(each.curves) for each in shown] == [1, 1, 1, 0]
    assert [list(each.scores) for each in shown] == [[1.0], [4.0], [], []]


def test_all_runs_have_a_row_with_what_was_typed(tmp_path):
    make_curve(tmp_path / "one", "loss=hinge", seed=3, curve=[(10, 2.0), (20, 1.25)])
    make_curve(tmp_path / "two", "loss=wgan", seed=4, curve=[(10, 7.0)], status="stopped")
    runs = read_runs([tmp_path])
    table = all_runs(runs, make_chapters(runs, None))
    assert table.header == ("run", "loss", "seed", "status", "step", "fid", "seconds")
    assert set(table.rows) == {
        ("one", "hinge", "3", "finished", "20", "1.25", "0"),
        ("two", "wgan", "4", "stopped", "10", "7", "0"),
    }


def test_code_is_marked_and_escaped():
    assert str(code("a `b<c` & d")) == "a <code>b&lt;c</code> &amp; d"


def test_markdown_links_the_figures(tmp_path):
    make_curve(tmp_path / "runs" / "one", "loss=hinge", seed=3, curve=[(10, 2.0)])
    runs = read_runs([tmp_path / "runs"])
    (figures,) = illustrate(make_chapters(runs, None), runs, tmp_path / "a b" / "report")
    text = as_markdown("runs", figures.values(), tmp_path)
    linked = re.findall(r"!\[.*\]\((.*)\)", text)
    assert linked[0] == "a%20b/report/learning_curves.svg"
    assert {Path(path).name for path in linked} == {path.name for path in (tmp_path / "a b" / "report").iterdir()}
