"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import io
import re
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from ganrun import __version__
from ganrun.engine.folder import RunFolder
from ganrun.report.illustrations import Illustration, candidates, pictures_of
from ganrun.report.ranking import differing_keys, label_of, scored_runs
from ganrun.report.runs import Run
from ganrun.report.samples import Pixels
from ganrun.report.tables import NOTHING, Chapter, Table, costs, findings, remarks, statuses

TEMPLATE = "report.html.j2"
QUALITY = 88  # of JPEG


def as_html(
    title: str, chapters: Sequence[Chapter], illustrations: Sequence[dict[str, Illustration]], runs: Sequence[Run]
) -> str:
    """The page.

    Args:
        title: its heading.
        chapters: what there is to say about each metric.
        illustrations: of every chapter, name -> figure.
        runs: all runs.
    """
    environment = Environment(
        loader=PackageLoader("ganrun.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": code, "svg": svg, "picture": picture}
    state = statuses(runs)
    return environment.get_template(TEMPLATE).render(
        title=title,
        version=__version__,
        date=time.strftime("%d %B %Y, %H:%M"),
        state=state,
        chapters=[
            {
                "findings": findings(chapter.ranking),
                "table": replace(chapter.table, caption=tuple(remarks(chapter.ranking))),
                "others": chapter.others,
                "matters": chapter.matters,
                "figures": figures,
                "pictures": pictures_of(candidates(chapter.ranking, runs)),
            }
            for chapter, figures in zip(chapters, illustrations, strict=True)
        ],
        costs=costs(runs),
        runs=all_runs(runs, chapters),
        commands=commands(runs),
    )


def all_runs(runs: Sequence[Run], chapters: Iterable[Chapter]) -> Table:
    """A row for every run: what was typed, how it fares, its last scores and its costs."""
    keys = differing_keys(runs)
    measures = [chapter.ranking.measure for chapter in chapters]
    last = [{each.run.folder: f"{each.last:.4g}" for each in scored_runs(measure, runs)} for measure in measures]
    rows = [
        (
            run.name,
            *label_of(run, keys),
            NOTHING if run.seed is None else str(run.seed),
            run.status,
            f"{run.step:,}",
            *(scores.get(run.folder, NOTHING) for scores in last),
            f"{run.seconds:,.0f}",
        )
        for run in runs
    ]
    header = ("run", *keys, "seed", "status", "step", *(measure.name for measure in measures), "seconds")
    return Table("All runs", (), header, tuple(rows), labels=3 + len(keys))


def commands(runs: Iterable[Run]) -> list[str]:
    """The command lines that made the runs, each once, as they can be typed again."""
    typed = (command[1:] for run in runs for command in RunFolder(run.folder).commands())
    plain = ([re.sub(r"^([\w.]+)='([^']*)'$", r"\1=\2", word) for word in words] for words in typed)  # paths
    return list(dict.fromkeys(shlex.join(["ganrun", *words]) for words in plain))


def code(text: str) -> Markup:
    """Escaped text in which what stands in backticks is code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if odd % 2 else p for odd, p in enumerate(parts))


def svg(path: Path) -> Markup:
    """The drawing alone, without what an SVG file has around it."""
    text = path.read_text(encoding="utf-8")
    return Markup(text[text.index("<svg") :])  # matplotlib escapes what it writes


def picture(pixels: Pixels) -> str:
    """An address that holds the picture itself, as PNG or as JPEG, whichever is shorter."""
    formats = []
    for name, options in (("png", {"optimize": True}), ("jpeg", {"quality": QUALITY})):
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, name, **options)
        formats.append(f"data:image/{name};base64,{base64.b64encode(data.getvalue()).decode()}")
    return min(formats, key=len)
