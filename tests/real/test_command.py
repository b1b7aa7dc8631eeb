# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command and the API on real dumps."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import drgn
import pytest
from dumps import Audit, Open
from lab import make
from reports import check_text, schema_validator
from test_binding import run_python
from test_cli import COMMAND, pageaudit

import drgn_contrib
from drgn_contrib import target


def test_report_in_every_form(kernel: str, tmp_path: Path) -> None:
    dump = make.dump(kernel, "light")
    file = tmp_path / "report.json"
    done = pageaudit(dump.vmcore, "-s", dump.vmlinux, "--json", file)
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    check_text(done.stdout)
    assert str(dump.vmcore) in done.stdout.replace("\n         ", "")
    data = json.loads(file.read_text())
    schema_validator().validate(data)
    assert data["target"]["release"] == dump.meta["release"]

    alone = pageaudit(dump.vmcore, "-s", dump.vmlinux, "--json", "-", "-j", "1")
    assert alone.stderr == ""
    other = json.loads(alone.stdout)
    for part in ("checks", "census"):
        for timed in [*data[part], *other[part]]:
            timed["seconds"] = 0
    assert other == data


def test_some_checks(kernel: str) -> None:
    dump = make.dump(kernel, "light")
    done = pageaudit(
        dump.vmcore, "-s", dump.vmlinux, "--checks", "page-links,section-state", "--json", "-"
    )
    assert {check["id"] for check in json.loads(done.stdout)["checks"]} == {
        "page-links",
        "section-state",
    }


def test_map_and_page(kernel: str) -> None:
    dump = make.dump(kernel, "light")
    done = pageaudit("map", dump.vmcore, "-s", dump.vmlinux)
    assert (done.returncode, done.stderr) == (0, "")
    check_text(done.stdout)

    pages = ["4096", "0x1000", "phys:0x1000000"]
    done = pageaudit("page", dump.vmcore, *pages, "-s", dump.vmlinux, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert [page["pfn"] for page in data] == [4096] * 3
    by_address = pageaudit("page", dump.vmcore, data[0]["page"], "-s", dump.vmlinux, "--json", "-")
    assert json.loads(by_address.stdout)[0] == data[0]

    done = pageaudit("page", dump.vmcore, "0x1000", "-s", dump.vmlinux)
    check_text(done.stdout)
    done = pageaudit("page", dump.vmcore, "0xffffffffffffffff", "-s", dump.vmlinux)
    assert done.returncode == 64
    assert done.stdout == ""


def test_types_of_another_kernel(kernel: str) -> None:
    dump = make.dump(kernel, "light")
    other = make.dump("v6.1" if kernel != "v6.1" else "v6.12", "light")
    done = pageaudit(dump.vmcore, "-s", other.vmlinux)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def program(dump: make.Dump) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(dump.vmcore)
    prog.load_debug_info([dump.vmlinux])
    return prog


def test_audit_of_a_program(kernel: str, audit_dump: Audit) -> None:
    dump = make.dump(kernel, "light")
    prog = program(dump)
    seen = []
    report = drgn_contrib.audit(prog, progress=lambda *args: seen.append(args))
    expected = audit_dump(kernel)
    assert report.findings == expected.findings
    assert report.coverage == expected.coverage
    for finding in report.findings:
        page = finding.page
        if finding.page_address is None:
            assert page is None
        else:
            assert page is not None
            assert page.prog_ is prog
            assert page.type_.type_name() == "struct page *"
            assert page.value_() == finding.page_address
    assert seen


def test_audit_through_a_program(
    kernel: str, audit_dump: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its file can't be told to be the same, memory is read through drgn."""
    monkeypatch.setattr(target, "_same_note", lambda ours, theirs: False)
    prog = program(make.dump(kernel, "light"))
    report = drgn_contrib.audit(prog)
    assert report.target.format != audit_dump(kernel).target.format
    assert report.findings == audit_dump(kernel).findings
    assert report.coverage == audit_dump(kernel).coverage


def test_program_that_is_no_kernel() -> None:
    with pytest.raises(drgn_contrib.TargetError):
        drgn_contrib.audit(drgn.Program())


def test_unknown_check(open_dump: Open) -> None:
    with pytest.raises(ValueError, match="no-such-check"):
        open_dump("v6.12").kernel.audit(["no-such-check"], None)


def test_progress_that_raises(open_dump: Open) -> None:
    def progress(phase: str, done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        open_dump("v6.12").kernel.audit(None, progress)


SLOW_COMMAND = """
import sys, time
from drgn_contrib import cli, run, target

fast, audit, slow = target.Source, run.run, False

class Source:
    @staticmethod
    def open(paths):
        file = fast.open(paths)

        def read(phys, length):
            if slow:
                print("reading", file=sys.stderr, flush=True)
                time.sleep(0.002)
            try:
                return file.read(phys, length)
            except target.TargetError:
                return None

        return fast.from_callback(read, file.info["vmcoreinfo"], False, 62)

def slowly(*arguments, **more):
    global slow
    slow = True
    return audit(*arguments, **more)

target.Source, run.run = Source, slowly
sys.exit(cli.main())
"""


@pytest.mark.parametrize("reads", [3, 1500])
@pytest.mark.parametrize("threads", ["1", "4"])
def test_interrupt(threads: str, reads: int) -> None:
    """Ctrl-C while the C core works ends the command soon, and in its own words."""
    dump = make.dump("v6.12", "light")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_COMMAND, dump.vmcore, "-s", dump.vmlinux, "-j", threads],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells have it ignored by what they run behind.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        for _ in range(reads):
            assert process.stderr.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        out, err = process.communicate(timeout=30)
        took = time.monotonic() - begun
    assert process.returncode == 130
    assert out == ""
    assert err.replace("reading\n", "") == "pageaudit: interrupted\n"
    assert took < 5


def test_nothing_leaks(kernel: str) -> None:
    dump = make.dump(kernel, "light")
    run_python(
        """
        import ctypes, gc, os, sys
        from drgn_contrib import run, target

        # M_ARENA_MAX: how many arenas threads make depends on who runs beside them.
        assert ctypes.CDLL(None).mallopt(-8, 1) == 1

        def once():
            opened = target.open_target([sys.argv[1]], [sys.argv[2]])
            run.run(opened)
            opened.kernel.memory()
            for pfn in range(0, 1 << 18, 1 << 10):
                opened.kernel.page(pfn)
            try:
                target.open_target([sys.argv[1]], ["/nonexistent"])
            except target.TargetError:
                pass

        def resident():
            gc.collect()
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        for _ in range(10):
            once()
        files, growth = len(os.listdir("/proc/self/fd")), []
        for _ in range(3):
            memory = resident()
            for _ in range(20):
                once()
            growth.append(resident() - memory)
        assert len(os.listdir("/proc/self/fd")) == files
        # A lost census or layout would be more in each round; the allocator's arenas of
        # threads grow now and then, not always.
        assert min(growth) < 1 << 20, growth
        """,
        dump.vmcore,
        dump.vmlinux,
    )


@pytest.mark.parametrize("options", [[], ["--no-progress"]], ids=["bar", "none"])
def test_progress_on_a_terminal(options: "list[str]") -> None:
    dump = make.dump("v6.12", "light")
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [str(COMMAND), str(dump.vmcore), "-s", str(dump.vmlinux), *options],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
    ) as process:
        os.close(end)
        shown = b""
        # A terminal whose other end is gone is an error.
        with contextlib.suppress(OSError):
            while data := os.read(terminal, 4096):
                shown += data
        out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0
    check_text(out)
    if options:
        assert shown == b""
    else:
        assert b"checks" in shown
        assert b"Traceback" not in shown
