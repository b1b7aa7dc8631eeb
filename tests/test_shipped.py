# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dumps that ship: what the demo shows of them, found without debug info."""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
from pathlib import Path
from typing import Optional

import pytest
from reports import Approve, check_report, map_validator
from test_cli import pageaudit

from drgn_contrib import cli, run, target, text
from drgn_contrib._pageaudit import Kernel, Source, TargetError

ROOT = Path(__file__).resolve().parent.parent
DUMPS = sorted(path.stem for path in (ROOT / "vmcores").glob("*.kdump"))


def test_there_are_some() -> None:
    """A healthy one, and one with real defects."""
    assert len(DUMPS) >= 2


@pytest.mark.parametrize("name", DUMPS)
def test_report(name: str, approve: Approve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    meta = json.loads(Path(f"vmcores/{name}.json").read_text())
    opened = target.open_target([f"vmcores/{name}.kdump"])
    report = run.run(opened)
    check_report(report)
    approve(f"{name}.txt", text.report_text(report))
    assert report.target.release == meta["release"]
    assert {check.status for check in report.checks} <= {"ran", "not-applicable"}
    found = {(f.check, f.pfn, f.pfn_end) for f in report.findings if f.severity != "info"}
    assert found == {(f["check"], f["pfn"], f["pfn_end"]) for f in meta["expected"]}
    assert report.exit_status == (1 if meta["expected"] else 0)


def test_coverage_is_documented() -> None:
    report = run.run(target.open_target([str(ROOT / f"vmcores/{DUMPS[0]}.kdump")]))
    docs = (ROOT / "docs" / "report.rst").read_text()
    assert [name for name in report.coverage if f"``{name}``" not in docs] == []


@pytest.mark.parametrize("name", DUMPS)
def test_map(name: str, approve: Approve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = pageaudit("map", f"vmcores/{name}.kdump")
    assert (done.returncode, done.stderr) == (0, "")
    approve(f"{name}-map.txt", done.stdout)


@pytest.mark.parametrize("name", DUMPS)
def test_map_keeps_to_its_schema(name: str) -> None:
    done = pageaudit("map", ROOT / f"vmcores/{name}.kdump", "--json", "-")
    data = json.loads(done.stdout)
    validator = map_validator()
    validator.validate(data)
    docs = (ROOT / "docs" / "report.rst").read_text()
    assert [key for key in data if key != "schema" and f"``{key}``" not in docs] == []
    validator.validate({**data, "unread": [{"part": "zones", "why": "it is not in the dump"}]})
    for spoilt in (
        {**data, "schema": "pageaudit-map/2"},
        {**data, "new": 1},
        {**data, "map": [{"pfn": 0, "pfn_end": 1, "state": "absent"}]},
        {**data, "unread": ["zones"]},
        {key: data[key] for key in data if key != "blocks"},
    ):
        assert not validator.is_valid(spoilt)


@pytest.mark.parametrize("name", DUMPS)
def test_any_number_of_threads_says_the_same(name: str) -> None:
    reports = []
    for threads in (1, 2, 7):
        opened = target.open_target([str(ROOT / f"vmcores/{name}.kdump")], threads=threads)
        reports.append(run.run(opened))
    for report in reports[1:]:
        assert report.findings == reports[0].findings
        assert report.coverage == reports[0].coverage


def test_pages_asked_for_while_it_audits() -> None:
    """A callback's kernel answers while its own threads read."""
    opened = target.open_target([str(ROOT / f"vmcores/{DUMPS[0]}.kdump")])
    info = opened.source.info

    def read(phys: int, length: int) -> "Optional[bytes]":
        try:
            return opened.source.read(phys, length)
        except TargetError:
            return None

    source = Source.from_callback(read, info["vmcoreinfo"], False, info["machine"])
    kernel = Kernel(source, opened.layout, threads=4)
    heads: "list[int]" = []

    def progress(phase: str, done: int, total: int) -> None:
        heads.extend(kernel.page(pfn)["pfn"] for pfn in range(64))

    # Where it does not come back nothing else does.
    faulthandler.dump_traceback_later(100, exit=True)
    kernel.audit(None, progress)
    faulthandler.cancel_dump_traceback_later()
    assert heads[:64] == [*range(64)]


def test_a_processor_is_left_to_a_running_kernel() -> None:
    opened = target.open_target([str(ROOT / f"vmcores/{DUMPS[0]}.kdump")])
    processors = len(os.sched_getaffinity(0))
    assert opened.kernel.threads == processors
    info = opened.source.info
    running = Source.from_callback(opened.source.read, info["vmcoreinfo"], True, info["machine"])
    assert Kernel(running, opened.layout).threads == max(processors - 1, 1)
    assert Kernel(running, opened.layout, threads=processors).threads == processors


@pytest.mark.parametrize("max_cpu", [-1, 1 << 32])
def test_bounds_that_are_none(max_cpu: int) -> None:
    opened = target.open_target([str(ROOT / f"vmcores/{DUMPS[0]}.kdump")])
    with pytest.raises((ValueError, OverflowError)):
        opened.kernel.audit(max_cpu=max_cpu)


@pytest.mark.parametrize(
    ("pfn", "part", "why"),
    [
        (0x159, "memory blocks", "2 of them could not be read"),
        (0x928, "device memory", "1 of its maps could not be read"),
        (0x132E3, "zones", "physical memory at 0x132e31c8 is not in the dump"),
        (0x17622, "zones", "1 of their tables of counters could not be read"),
    ],
)
def test_map_of_what_could_not_be_read(
    pfn: int,
    part: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """One page that the dump lacks: it says so, and nothing is taken for absent."""
    path = str(ROOT / "vmcores/v7.2-soft-offline-leak.kdump")
    opened = target.open_target([path])
    info = opened.source.info

    def read(phys: int, length: int) -> Optional[bytes]:
        if phys >> 12 <= pfn <= (phys + length - 1) >> 12:
            return None
        try:
            return opened.source.read(phys, length)
        except TargetError:
            return None

    source = Source.from_callback(read, info["vmcoreinfo"], False, info["machine"])
    torn = dataclasses.replace(opened, source=source, kernel=Kernel(source, opened.layout))
    monkeypatch.setattr(cli, "_open", lambda *_: torn)
    out = tmp_path / "map.json"
    assert cli.main(["map", path, "--json", str(out)]) == 3
    assert f"unread   {part}: {why}\n" in capsys.readouterr().out
    made = json.loads(out.read_text())
    assert made["unread"] == [{"part": part, "why": why}]
    # Its counters are what such a zone lacks.
    exact = [zone["free"] for zone in opened.kernel.memory()["zones"]]
    free = [zone["free"] for zone in made["zones"]]
    assert (free == [None, *exact[1:]]) if pfn == 0x17622 else (free in (exact, []))
