# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as one page for a browser, which needs nothing besides.

Strings of a dump are anyone's. Jinja2 escapes each of them, after what is not
printable ASCII was; the script takes them as text; and the page's policy lets a
browser run no script but ours, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import itertools
import json
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import jinja2
from markupsafe import Markup

from drgn_contrib import html_advice, html_memory
from drgn_contrib.report import SEVERITIES, Finding, LogRecord, Report, hex_address
from drgn_contrib.text import (
    block_rows,
    claims,
    clean,
    pfn_range,
    plural,
    reference_text,
    size,
    value,
)

#: Characters of a page. What findings leave of it is for pages of sections: those
#: without marks come last, and may be drawn by their cells alone.
PAGE_BUDGET = 1_900_000
#: Characters of evidence, of the log, and of what the log says of poisoned
#: pages; rows of a table. What is beyond is counted on the page; the JSON has it.
EVIDENCE_BUDGET = 300_000
LOG_BUDGET = 250_000
POISON_LOG_BUDGET = 100_000
MAX_ROWS = 1000
#: Pages with memory errors, each with what the log says of it.
POISONED_SHOWN = 100
#: So many findings are unfolded.
_OPEN = 10

#: One after the other they are the page's script.
_SCRIPTS = ("picture_data.js", "picture_draw.js", "picture.js")


class ShownFinding(NamedTuple):
    """A finding as the page has it."""

    number: int
    finding: Finding
    where: str
    #: Name and value.
    evidence: "List[Tuple[str, str]]"
    consequence: str
    is_open: bool


def report_html(
    report: Report, checks: Sequence[Mapping[str, str]], symbols: Sequence[str] = ()
) -> str:
    """The whole page.

    :param checks: All checks that there are: id, summary and doc.
    :param symbols: Files of debug info that the target was opened with.
    """
    target = html_memory.target_argument(report, symbols)
    template = _environment().get_template("report.html.j2")
    variables = _variables(report, checks, target)
    if report.picture is None:
        return template.render(variables, data=None)

    def render(room: int) -> str:
        assert report.picture is not None
        data = html_memory.picture_data(report, report.picture, target, room)
        return template.render(variables, data=_script_json(data))

    return render(PAGE_BUDGET - len(render(0)))


def _variables(
    report: Report, checks: Sequence[Mapping[str, str]], target: str
) -> "Dict[str, Any]":
    """What the templates speak of."""
    style = _asset("report.css")
    script = "".join(map(_asset, _SCRIPTS))
    shown, listed = _shown(report)
    worst = [id(finding) for finding in html_advice.worst(report)]
    picture = report.picture
    page_size = report.target.page_size
    return {
        "report": report,
        "policy": _policy(style, script),
        "style": Markup(style),
        "script": Markup(script),
        "verdict": html_advice.verdict(report),
        "worst": [each for each in listed if id(each.finding) in worst],
        "steps": html_advice.steps(report, target),
        "findings": shown,
        "listed": listed,
        "log": _log(report.log),
        "poisoned": _poisoned(report.poisoned[:POISONED_SHOWN]),
        "checks": _checks(report, checks),
        "picture": picture,
        "shares": html_memory.shares(picture, page_size) if picture else (),
        "zones": html_memory.zones(picture) if picture else (),
        "states": _some(html_memory.state_rows(picture, page_size) if picture else ()),
        "blocks": _some(block_rows(picture.memory["blocks"]) if picture else ()),
        "pgmaps": _some(report.memory.pgmaps),
    }


class Rows(NamedTuple):
    """Rows of a table, or lines, and how many more there are."""

    rows: "List[Any]"
    more: int


def _some(rows: "Iterable[Any]") -> Rows:
    """As many as there is room for: a damaged map of memory may have millions."""
    rows = iter(rows)
    return Rows(list(itertools.islice(rows, MAX_ROWS)), sum(1 for _ in rows))


def _within(lines: "Iterable[str]", room: int, markup: int) -> int:
    """How many of the first lines have room, each with so many characters round it."""
    count = 0
    for line in lines:
        room -= markup + len(clean(line))
        if room < 0:
            break
        count += 1
    return count


def _log(log: "Sequence[LogRecord]") -> "Sequence[LogRecord]":
    """The newest records, as many as there is room for."""
    newest = (record.text for record in itertools.islice(reversed(log), MAX_ROWS))
    return log[len(log) - _within(newest, LOG_BUDGET, 200) :]


def _poisoned(pages: "Sequence[Mapping[str, Any]]") -> "List[Tuple[Mapping[str, Any], Rows]]":
    """Pages with the first lines that the log has of each, which share the room."""
    result = []
    for page in pages:
        lines = page["log"]
        count = _within(lines, POISON_LOG_BUDGET // len(pages), 5)
        result.append((page, Rows(lines[:count], len(lines) - count)))
    return result


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.filters.update(
        count=lambda number: f"{number:,}",
        hex=hex_address,
        size=size,
        plural=plural,
        pgmap=html_memory.pgmap_name,
        reference=reference_text,
        claims=claims,
        range=pfn_range,
        value=lambda item, key: value(key, item),
    )
    environment.globals.update(severities=SEVERITIES, max_sections=html_memory.MAX_SECTIONS)
    return environment


def _finalize(item: Any) -> Any:
    """What a template puts out: control characters and the like are shown, not sent."""
    return clean(item) if isinstance(item, str) and not isinstance(item, Markup) else item


def _asset(name: str) -> str:
    """A file of templates/."""
    files = importlib.resources.files("drgn_contrib") / "templates"
    return (files / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What the browser may do for the page: run and apply just these two."""

    def source(text: str) -> str:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        return f"'sha256-{digest}'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _script_json(data: Any) -> Markup:
    """JSON inside of a script element, which nothing in it can end."""
    text = json.dumps(data, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _shown(report: Report) -> "Tuple[List[ShownFinding], List[ShownFinding]]":
    """Findings with their evidence as long as there is room, and those of the table."""
    listed = list(itertools.islice(_all_shown(report), MAX_ROWS))
    shown = []
    room = EVIDENCE_BUDGET
    for each in listed:
        room -= 500 + sum(60 + len(name) + len(text) for name, text in each.evidence)
        if room < 0:
            break
        shown.append(each)
    return shown, listed


def _all_shown(report: Report) -> Iterator[ShownFinding]:
    for number, finding in enumerate(report.findings, 1):
        evidence = [(key.replace("_", " "), value(key, item)) for key, item in _evidence(finding)]
        where = ""
        if finding.pfn is not None and finding.pfn_end is not None:
            where = pfn_range(finding.pfn, finding.pfn_end)
        is_open = number <= _OPEN and finding.severity != "info"
        consequence = html_advice.CONSEQUENCES[finding.check]
        yield ShownFinding(number, finding, where, evidence, consequence, is_open)


def _evidence(finding: Finding) -> "Iterator[Tuple[str, Any]]":
    if finding.page_address is not None:
        yield "struct page", hex_address(finding.page_address)
    for key, item in finding.evidence.items():
        # Most checks have the bad page's address there, too.
        if key != "page" or item != hex_address(finding.page_address):
            yield key, item


def _checks(
    report: Report, checks: Sequence[Mapping[str, str]]
) -> "List[Tuple[Mapping[str, str], Any, int]]":
    """Every check: what it is, what it did (None: not asked for), how much it found."""
    results = {check.id: check for check in report.checks}
    return [
        (check, results.get(check["id"]), sum(f.check == check["id"] for f in report.findings))
        for check in checks
    ]
