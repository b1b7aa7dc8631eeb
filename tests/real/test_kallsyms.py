# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running kernel whose VMCOREINFO does not tell where its symbols are."""

from __future__ import annotations

import json

import layouts
from lab import kernels, live
from lab.qemu import Hardware

from drgn_contrib import target
from drgn_contrib._pageaudit import Layout

#: Prints the layout that an audit of the running kernel uses without debug info.
LAYOUT = f"""
import json
from drgn_contrib._pageaudit import Layout, Source
print(json.dumps(Layout.from_btf(Source.open([{target.KCORE!r}])).entries()))
"""


def test_symbols_of_proc() -> None:
    """They are in /proc/kallsyms: no debug info is needed. It may hide them."""
    kernel = kernels.fetch("v5.10")
    hardware = Hardware(memory_mib=256)
    with live.guest(kernel, ("rest",), cmdline="nokaslr", hardware=hardware) as old:
        told = json.loads(old.command("python", "-c", LAYOUT).out)
        report = old.pageaudit("--live", "--json", "-").report
        old.command("sh", "-c", "echo 2 >/proc/sys/kernel/kptr_restrict")
        hidden = old.command("python", "-c", LAYOUT)
    ours = layouts.by_key(told)
    theirs = layouts.entries(Layout.from_dwarf(None, [str(kernel.vmlinux)]))
    # It does not list the tables that it is made of.
    differ = layouts.differences(ours, theirs)
    assert [each for each in differ if not each[0][1].startswith("kallsyms_")] == []
    assert [f for f in report["findings"] if f["severity"] != "info"] == []
    assert {c["status"] for c in report["checks"]} <= {"ran", "not-applicable"}
    assert hidden.status == 1
    assert "TargetError: the kernel hides the addresses" in hidden.err
