# SPDX-License-Identifier: LGPL-2.1-or-later
"""Beside drgn: what its start costs, and how long a Program's target is kept."""

from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import drgn
import pytest

import drgn_contrib
from drgn_contrib import target

ROOT = Path(__file__).resolve().parents[1]
DUMP = ROOT / "vmcores" / "v6.12-healthy.kdump"

START = """
import sys
import drgn.cli
before = set(sys.modules)
import drgn_contrib.drgn_plugin
print(*sorted(set(sys.modules) - before))
import drgn_contrib
for name in drgn_contrib.__all__:
    getattr(drgn_contrib, name)
assert "drgn_contrib._pageaudit" in sys.modules
"""


def test_start_of_drgn_stays_cheap() -> None:
    """drgn imports the plugin at each start: that takes nothing but the plugin in."""
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert [name for name in done.stdout.split() if not name.startswith("drgn.")] == [
        "drgn_contrib",
        "drgn_contrib.drgn_plugin",
    ]


def test_package_has_its_names() -> None:
    for name in drgn_contrib.__all__:
        assert getattr(drgn_contrib, name).__name__ == name
    assert not hasattr(drgn_contrib, "nonsense")


def program() -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(str(DUMP))
    return prog


def test_a_dump_is_opened_once() -> None:
    prog = program()
    kept = target.opened_program(prog)
    assert target.opened_program(prog) is kept
    assert target.opened_program(program()) is not kept


def test_what_is_kept_goes_with_its_program() -> None:
    target.opened_program(program())
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(8):
        target.opened_program(program())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == files


def test_new_debug_info_opens_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prog = program()
    kept = target.opened_program(prog)
    monkeypatch.setattr(target._LoadedFinder, "find", lambda self: ("vmlinux", []))
    assert target.opened_program(prog) is not kept


def test_a_running_kernel_is_opened_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read when one opens it changes."""
    prog = program()
    real = target.open_program

    class Live:
        info = {"live": True}

    def live(*args: Any) -> target.OpenedTarget:
        source: Any = Live()
        return dataclasses.replace(real(*args), source=source)

    monkeypatch.setattr(target, "open_program", live)
    assert target.opened_program(prog) is not target.opened_program(prog)
