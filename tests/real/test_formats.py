# SPDX-License-Identifier: LGPL-2.1-or-later
"""One kernel's memory in every dump format: the same answers from each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dumps import Open
from lab import make, makedump
from reports import check_report
from test_cli import pageaudit

from drgn_contrib import run, target, text
from drgn_contrib.report import ExitStatus, Report


def audit(kernel: str, variety: str, types: str) -> "tuple[target.OpenedTarget, Report]":
    dump = make.dump(kernel, "light")
    paths = [str(path) for path in makedump.variety(dump.vmcore, variety)]
    symbols = [str(dump.vmlinux)] if types == "dwarf" else []
    opened = target.open_target(paths, symbols)
    report = run.run(opened)
    check_report(report)
    return opened, report


def check_same(opened: target.OpenedTarget, report: Report, whole: target.OpenedTarget) -> None:
    """A healthy kernel's memory map is whole in any dump."""
    assert report.exit_status == ExitStatus.CLEAN
    assert opened.kernel.memory() == whole.kernel.memory()
    assert report.coverage["pages_unreadable"] == 0
    for pfn in range(0, 1 << 18, 4099):
        assert opened.kernel.page(pfn) == whole.kernel.page(pfn)


@pytest.mark.parametrize("variety", ["zlib", "elf-d31"])
def test_filtered_as_usual(kernel: str, variety: str, open_dump: Open) -> None:
    opened, report = audit(kernel, variety, "dwarf")
    if report.coverage["kernel_pages_filtered"] == 0:
        check_same(opened, report, open_dump(kernel))
    else:
        # Debian's newest makedumpfile does not know this kernel: it drops slab
        # pages, and what lies in them is unknown, never bad.
        assert report.exit_status in (ExitStatus.CLEAN, ExitStatus.PARTIAL)
        assert "makedumpfile" in text.report_text(report)


@pytest.mark.parametrize("variety", ["zlib", "elf-d31"])
def test_symbols_that_nothing_points_to(variety: str, open_dump: Open) -> None:
    """The VMCOREINFO of v5.10 does not tell where they are."""
    opened, report = audit("v5.10", variety, "btf")
    check_same(opened, report, open_dump("v5.10"))
    assert report.target.types_from == "btf"


@pytest.mark.parametrize("variety", sorted(makedump.VARIETIES))
def test_every_format(variety: str, open_dump: Open) -> None:
    """Without debug info: types, too, come from the dump."""
    opened, report = audit("v6.12", variety, "btf")
    check_same(opened, report, open_dump("v6.12", types="btf"))
    assert report.target.types_from == "btf"
    assert report.target.complete
    if "elf" not in variety:
        assert report.target.format.startswith("kdump")


def test_parts_of_a_split_dump(open_dump: Open) -> None:
    dump = make.dump("v6.12", "light")
    parts = makedump.variety(dump.vmcore, "split")
    assert len(parts) > 1
    for order in (parts[::-1], [*parts[1:], parts[0]]):
        done = pageaudit(*order, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["target"]["complete"] is True
    # Of so small a machine the first part has all pages, and the others none.
    done = pageaudit(*parts[1:])
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("variety", ["zlib", "flat", "elf-d31"])
@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_cut_short(variety: str, percent: int, tmp_path: Path) -> None:
    """Analysed as far as it goes, or one sentence; never a finding."""
    dump = make.dump("v6.12", "light")
    (path,) = makedump.variety(dump.vmcore, variety)
    cut = tmp_path / "vmcore"
    whole = path.read_bytes()
    cut.write_bytes(whole[: len(whole) * percent // 100])
    done = pageaudit(cut, "-s", dump.vmlinux, "--json", "-")
    assert done.returncode in (2, 3), done.stdout
    if done.returncode == 2:
        assert done.stderr.startswith("pageaudit: ")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    else:
        assert json.loads(done.stdout)["target"]["complete"] is False
