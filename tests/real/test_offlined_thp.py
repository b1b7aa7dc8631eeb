# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real defect of older kernels: THPs in memory that goes offline, and NR_ISOLATED_*."""

from __future__ import annotations

from dumps import Audit
from lab import make

HUGE_PAGES = 512


def test_thps_that_were_moved_out(kernel: str, audit_dump: Audit) -> None:
    """do_migrate_range() counts each as one page, and migration takes 512 off again.

    /proc/vmstat shows no number below 0: it says how many were moved, and nothing is amiss.
    """
    vmstat = make.dump(kernel, "offlined-thp").truth("proc/vmstat").decode()
    said = {name: int(value) for name, value in map(str.split, vmstat.splitlines())}
    moved = said["thp_migration_success"]
    assert moved >= 4
    assert said["nr_isolated_anon"] == 0
    report = audit_dump(kernel, "offlined-thp")
    found = [finding.to_json() for finding in report.findings if finding.severity != "info"]
    if kernel in ("v6.12", "v7"):
        assert not found
        return
    (finding,) = found
    assert (finding["check"], finding["severity"]) == ("counter-drift", "bug")
    evidence = finding["evidence"]
    assert evidence["counter"] == "NR_ISOLATED_ANON"
    assert evidence["difference"] == -(HUGE_PAGES - 1) * moved
    assert evidence["offlined_thps"] == moved
    assert "do_migrate_range()" in evidence["cause"]
