# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages of --html: whole, safe, complete, and small."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import zipfile
from base64 import b64decode
from pathlib import Path
from random import Random
from zlib import decompress

import pytest
from pages import SHIPPED, Page, page_of, sample_report
from reports import picture_validator
from sample import CRASH, KINDS, LOG, PICTURE, SECTION_PAGES, decode_runs
from test_cli import one_sentence, pageaudit

from drgn_contrib import _pageaudit, html, html_advice, html_memory, report
from drgn_contrib.text import value

ROOT = Path(__file__).resolve().parents[1]
#: What a name of a dump may be, to break out of wherever it is put.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "</style><style>*{}</style>",
    "\"'><img src=x onerror=alert(1)>",
    "<!--",
    "{{ 7 * 7 }}{% endraw %}",
    "a\u202eb\x00c\x1b[31m\u2028\ud800",
    "&lt;b&gt; ]]>",
)


def hostile_report() -> report.Report:
    """The sample with such names wherever a dump has any."""
    made = sample_report("x" + "".join(HOSTILE))
    words = "".join(HOSTILE)
    assert made.target.crash is not None
    assert made.picture is not None
    zones = tuple({**zone, "name": words} for zone in made.memory.zones)
    pgmaps = tuple({**pgmap, "device": words} for pgmap in made.memory.pgmaps)
    memory = {**made.picture.memory, "zones": zones, "pgmaps": pgmaps}
    return dataclasses.replace(
        made,
        target=dataclasses.replace(
            made.target,
            release=words,
            build_id=words,
            format=words,
            crash=dataclasses.replace(
                made.target.crash,
                panic=words,
                task=words,
                rip_symbol=words,
                registers={words: words},
                pages=[{"pfn": 0x1200, words: words}],
            ),
        ),
        log=tuple(dataclasses.replace(r, text=words, pfn=5) for r in made.log),
        memory=dataclasses.replace(made.memory, zones=zones, pgmaps=pgmaps),
        checks=tuple(dataclasses.replace(c, reason=words) for c in made.checks),
        coverage={words: 1, **made.coverage},
        census=tuple(dataclasses.replace(c, name=words) for c in made.census),
        findings=tuple(
            dataclasses.replace(f, summary=words, evidence={words: words}) for f in made.findings
        ),
        walkers=tuple(
            {
                **walker,
                **dict.fromkeys(("task", "walk", "function", "zone"), words),
                "at": [{"name": words, "pfn": 1, "is": words}],
                "variables": [
                    {
                        **dict.fromkeys(("function", "name", "is", "resource", "cma"), words),
                        "pfn": 2,
                        "memory_block": "?",
                    }
                ],
            }
            for walker in made.walkers
        ),
        poisoned=tuple({**p, "place": words, "task": words, "log": [words]} for p in made.poisoned),
        picture=dataclasses.replace(made.picture, memory=memory),
    )


def test_hostile_strings_are_text() -> None:
    plain, page = page_of(sample_report()), page_of(hostile_report())
    page.check_whole()
    for tag in ("script", "style", "img", "b", "a", "canvas", "form"):
        # The sample's second line of the log is of no page, and so no link.
        more = 1 if tag == "a" else 0
        assert page.tags[tag] - plain.tags[tag] in (0, more), tag
    assert set(page.tags) == set(plain.tags)
    for words in HOSTILE[:5]:
        assert words in page.text
    assert "\\u202eb\\x00c\\x1b[31m\\u2028\\ud800" in page.text
    assert "49" not in page.contents["title"][0]
    picture_validator().validate(page.data)
    assert page.data["command"].startswith("pageaudit page 'x</script>")
    assert any(HOSTILE[0] in mark["label"] for mark in page.data["marks"])
    assert {1, 2} <= {mark["pfn"] for mark in page.data["marks"] if mark["kind"] == "task"}
    assert "in a memory block that is ?" in page.text


def test_page_needs_nothing_besides() -> None:
    page = page_of(sample_report())
    page.check_whole()
    ids = [text for _, name, text in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for tag, name, text in page.attributes:
        if name == "href" and not text.startswith("#pfn="):
            assert text[1:] in ids, text
        if name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            assert text in ids, (tag, text)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags["table"] >= 8
    for tag, name, text in page.attributes:
        if tag == "th" and name == "scope":
            assert text in ("row", "col")
    assert page.tags["th"] == sum(
        tag == "th" and name == "scope" for tag, name, _ in page.attributes
    )


def test_page_says_what_the_report_says() -> None:
    made = sample_report()
    # What is new in the report is to be on the page.
    assert set(made.to_json()) == {
        *("schema", "tool", "target", "log", "memory", "coverage", "census", "checks"),
        *("findings", "poisoned", "walkers", "live"),
    }
    read = " ".join(page_of(made).text.split())
    for finding in made.findings:
        assert " ".join(finding.summary.split()) in read
        for key, item in finding.evidence.items():
            assert key.replace("_", " ") in read
            assert " ".join(value(key, item).split()) in read
    for check in made.checks:
        assert check.reason is None or check.reason in read
    for name, count in made.coverage.items():
        assert f"{name.replace('_', ' ')} {count:,}" in read
    assert CRASH["panic"] in read
    assert CRASH["rip_symbol"] in read
    assert LOG[0]["text"] in read
    assert "1 bug and 1 suspect found; 1 check could not look at everything." in read
    assert "pageaudit page dumps/vmcore.kdump 0x1200" in read
    assert "isolate_migratepages_block()" in read
    assert "0x15800 hugetlb, 1 mapping, bad pages 0x15809, 0x15864 in progress" in read


@pytest.mark.parametrize(
    ("severities", "statuses", "level"),
    [
        (["info"], ["ran", "not-applicable"], "clean"),
        (["info"], ["ran", "failed"], "partial"),
        (["suspect", "info"], ["ran"], "suspect"),
        (["bug", "suspect"], ["partial"], "bug"),
    ],
)
def test_verdict(severities: "list[str]", statuses: "list[str]", level: str) -> None:
    made = sample_report()
    made = dataclasses.replace(
        made,
        findings=tuple(dataclasses.replace(made.findings[0], severity=s) for s in severities),
        checks=tuple(
            dataclasses.replace(made.checks[0], status=s, reason=None if s == "ran" else "because")
            for s in statuses
        ),
    )
    assert html_advice.verdict(made).level == level
    page = page_of(made)
    assert (page.tags["ul"], ("p", "class", f"verdict {level}") in page.attributes)[1]


def test_every_check_and_kind_has_its_words() -> None:
    assert set(html_advice.CONSEQUENCES) == {check["id"] for check in _pageaudit.checks()}
    assert set(html_memory.KINDS) == set(KINDS)


def test_picture_data() -> None:
    data = page_of(sample_report()).data
    picture_validator().validate(data)
    assert data["sections"] == [[0, 2], [5, 6]]
    assert decompress(b64decode(data["cells"])) == b"".join(s[1] for s in PICTURE["sections"])
    assert {int(nr): decompress(b64decode(runs)) for nr, runs in data["runs"].items()} == {
        nr: runs for nr, _, runs in PICTURE["sections"]
    }
    kinds = [mark["kind"] for mark in data["marks"]]
    assert kinds == ["crash", "bug", "info", "task", "task", "log"]
    assert data["marks"][1]["href"] == "#finding-1"
    assert data["pgmaps"][0]["altmap"] == [0x28000, 0x2E000]
    assert data["blocks"][0] == [0, 1, 0, 0x10000, "online"]


def random_cells(random: Random) -> bytes:
    """Of a section whose cells differ from each other."""
    return bytes(6 + byte % 10 for byte in random.randbytes(SECTION_PAGES // 512))


def big_report(nr_sections: int, nr_findings: int) -> report.Report:
    """Of a machine whose every page differs from its neighbour, and nothing is right."""
    made = sample_report()
    random = Random(7)
    assert made.picture is not None
    sections = []
    for nr in range(nr_sections):
        runs = bytearray(SECTION_PAGES // 4 * 3)
        runs[0::3] = bytes(6 + byte % 10 for byte in random.randbytes(SECTION_PAGES // 4))
        runs[2::3] = bytes([4]) * (SECTION_PAGES // 4)
        sections.append((nr, random_cells(random), bytes(runs)))
    run = {"pfn": 0, "pfn_end": nr_sections * SECTION_PAGES, "state": "online"}
    picture = dataclasses.replace(
        made.picture, sections=sections, memory={**made.picture.memory, "map": [run]}
    )
    last = (nr_sections - 1) * SECTION_PAGES
    findings = tuple(
        dataclasses.replace(made.findings[0], pfn=last + i, pfn_end=last + i + 1)
        for i in range(nr_findings)
    )
    log = made.log * 5000
    return dataclasses.replace(made, picture=picture, findings=findings, log=log)


def test_a_page_stays_small() -> None:
    """What has no room is left out, and that is said; what is marked stays."""
    page = page_of(big_report(256, 5000))
    assert 1_500_000 < len(page.html) < html.PAGE_BUDGET
    picture_validator().validate(page.data)
    assert "255" in page.data["runs"]
    assert len(page.data["runs"]) < 256
    assert page.data["cell_pages"] == 512
    assert "4,000 more are not on this page" in page.text
    assert "9,000 earlier ones are not on this page" in page.text
    assert "5,000" in page.text


def worst_report(*, alike: bool = False) -> report.Report:
    """Of more memory than is drawn, with a log that speaks of nothing but pages."""
    made = big_report(1, 5000)
    assert made.picture is not None
    random = Random(7)
    (_, _, runs), *_ = made.picture.sections
    cells = bytes([10]) * (SECTION_PAGES // 512)
    nr_sections = html_memory.MAX_SECTIONS + 100
    run = {"pfn": 0, "pfn_end": nr_sections * SECTION_PAGES, "state": "online"}
    picture = dataclasses.replace(
        made.picture,
        memory={**made.picture.memory, "map": [run]},
        sections=[
            (nr, cells if alike else random_cells(random), runs[:12]) for nr in range(nr_sections)
        ],
    )
    line = "Memory failure: 0x1234: " + "x" * 950
    log = tuple(dataclasses.replace(made.log[0], text=f"{i} {line}") for i in range(3000))
    poisoned = tuple(
        {**made.poisoned[0], "pfn": pfn, "log": [f"{i} {line}" for i in range(30)]}
        for pfn in range(100)
    )
    return dataclasses.replace(made, picture=picture, log=log, poisoned=poisoned)


def test_a_page_of_the_worst_machine_stays_small() -> None:
    """Cells grow, lines are left out, and that is said."""
    page = page_of(worst_report())
    assert len(page.html) < html.PAGE_BUDGET
    picture_validator().validate(page.data)
    assert page.data["sections"] == [[0, html_memory.MAX_SECTIONS]]
    cells = SECTION_PAGES // page.data["cell_pages"]
    assert cells in (4, 16)
    assert len(decompress(b64decode(page.data["cells"]))) == html_memory.MAX_SECTIONS * cells
    assert page.data["runs"]
    assert "100 more sections are not in the picture" in page.text
    shown = page.text.count("x" * 950)
    hidden = re.findall(r"([0-9,]+) earlier ones are not on this page", page.text)
    of_pages = re.findall(r"(\d+) more of 30 lines are not on this page", page.text)
    assert shown == 3000 - int(hidden[0].replace(",", "")) + 100 * 30 - sum(map(int, of_pages))
    # The newest of the log, and the first of each page.
    assert f"2999 Memory failure: 0x1234: {'x' * 950}" in page.text
    assert page.text.count("0 Memory failure: 0x1234: x") >= 100


def test_cells_grow_only_for_room() -> None:
    alike = worst_report(alike=True)
    page = page_of(alike)
    assert page.data["cell_pages"] == 512
    assert len(page.html) < html.PAGE_BUDGET
    # Without any room a section is one cell: what most of it is, and what any of it has.
    most, other = 10, 12
    cells = bytes([most] * 20 + [other] * 18 + [most | 0x40] * 10 + [other | 0x80] * 16)
    assert alike.picture is not None
    picture = dataclasses.replace(alike.picture, sections=[(0, cells, b""), (1, b"\x0a" * 64, b"")])
    data = html_memory.picture_data(alike, picture, "vmcore", 0)
    assert data["cell_pages"] == SECTION_PAGES
    assert decompress(b64decode(data["cells"])) == bytes([other | 0xC0, most])


def test_all_lines_are_there_as_long_as_they_have_room() -> None:
    made = worst_report(alike=True)
    few = dataclasses.replace(
        made,
        log=made.log[:200],
        poisoned=({**made.poisoned[0], "log": [*made.poisoned[0]["log"]] * 3},),
    )
    page = page_of(few)
    assert page.text.count("x" * 950) == 200 + 90
    assert "earlier ones" not in page.text
    assert "lines are not on this page" not in page.text


def test_a_running_kernel() -> None:
    made = sample_report()
    live = report.LiveRun(4, 2.5, 1.5, 90 << 20, 10, 3, 1)
    made = dataclasses.replace(
        made, live=live, target=dataclasses.replace(made.target, live=True, path="/proc/kcore")
    )
    page = page_of(made)
    assert "running kernel" in page.text
    assert "4 reads in 2.5 s" in page.text
    assert page.data["command"] == "pageaudit page --live"


def test_commands_can_be_pasted() -> None:
    made = sample_report("a dump, b")
    assert html_memory.target_argument(made, ["my vmlinux"]) == "'a dump' b -s 'my vmlinux'"
    text = html.report_html(made, _pageaudit.checks(), ["my vmlinux"])
    assert "pageaudit page &#39;a dump&#39; b -s &#39;my vmlinux&#39; 0x1200" in text


def test_a_report_without_a_picture() -> None:
    made = dataclasses.replace(sample_report(), picture=None)
    page = page_of(made)
    assert page.tags["script"] == page.tags["canvas"] == 0
    assert "lost-free-pages" in page.text


def test_command_writes_all_forms(shipped: "tuple[Path, Path]") -> None:
    page = Page(shipped[0].read_text())
    page.check_whole()
    picture_validator().validate(page.data)
    data = json.loads(shipped[1].read_text())
    text = " ".join(page.text.split())
    for number, finding in enumerate(data["findings"], 1):
        assert ("details", "id", f"finding-{number}") in page.attributes
        assert finding["summary"] in text
    assert {mark["pfn"] for mark in page.data["marks"]} >= {
        finding["pfn"] for finding in data["findings"] if finding["pfn"] is not None
    }
    # All pages that there are, once each.
    runs = b"".join(decompress(b64decode(packed)) for packed in page.data["runs"].values())
    sections = sum(end - first for first, end in page.data["sections"])
    assert sections * SECTION_PAGES == sum(n for _, _, n in decode_runs(runs))
    poisoned = [n for kind, _, n in decode_runs(runs) if kind & 0x80]
    assert sum(poisoned) == 5


def test_standard_output() -> None:
    alone = pageaudit(SHIPPED, "--html", "-", "--checks", "section-state")
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout.startswith("<!DOCTYPE html>")
    assert alone.stdout.endswith("</html>\n")
    both = pageaudit(SHIPPED, "--html", "-", "--json", "-")
    assert both.returncode == 64
    assert "only one of" in one_sentence(both)


def test_what_was_there_stays(tmp_path: Path) -> None:
    """A target that can't be analysed, or a file that can't be written, changes no file."""
    old = tmp_path / "old.html"
    old.write_text("old")
    bad = tmp_path / "vmcore"
    bad.write_text("no dump")
    done = pageaudit(bad, "--html", old, "--json", tmp_path / "new.json")
    assert done.returncode == 2
    one_sentence(done)
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.html", "vmcore"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/nonexistent/directory/file", "No such file or directory"),
        ("/", "Is a directory"),
        ("vmcore", "it is the same file as"),
        ("link", "it is the same file as"),
        ("other", "it is the same file as"),
    ],
)
def test_files_that_are_not_written(tmp_path: Path, name: str, why: str) -> None:
    dump = tmp_path / "vmcore"
    dump.write_text("a dump")
    (tmp_path / "link").symlink_to(dump)
    done = pageaudit(dump, "--json", tmp_path / "other", "--html", tmp_path / name)
    assert done.returncode == 64
    assert why in one_sentence(done)
    assert dump.read_text() == "a dump"
    assert {path.name for path in tmp_path.iterdir()} == {"vmcore", "link"}


def test_file_is_written_through_links_and_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drgn_contrib.output import output_file

    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with output_file(str(link)) as file:
        assert file is not None
        assert real.read_text() == "old"
        file.write("new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)
    with output_file(os.devnull) as file:
        assert file is not None
        file.write("nothing")
    assert not Path(os.devnull).is_file()


def test_templates_are_in_the_package(tmp_path: Path) -> None:
    """A wheel has all that the page is made of."""
    built = subprocess.run(
        [sys.executable, "-c", WHEEL, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "drgn_contrib" / "templates").iterdir():
        assert f"drgn_contrib/templates/{path.name}" in names


#: A wheel of the package without its extension, which others build.
WHEEL = """
import sys
from pathlib import Path
from setuptools import setup
out = Path(sys.argv[1])
build = ["build", f"-b{out / 'build'}"]
sys.argv = ["setup.py", "-q", *build, "bdist_wheel", f"-d{out}", f"-b{out / 'wheel'}"]
setup()
"""
