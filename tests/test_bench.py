# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark: its programs still build and run, its table says what was missed."""

from __future__ import annotations

import pytest
from benchkit import figures, native


def test_table() -> None:
    group = figures.Group("Group")
    group.add("fast", 250, "M/s", figures.at_least(200), note="a note")
    group.add("slow", 1.31, "times", figures.at_most(1.3))
    group.add("plain", 0.0123456, "s")
    group.missing.append("crash: not here")
    lines = figures.table([group]).splitlines()
    assert lines[0] == "Group"
    assert lines[2].split() == ["fast", "250", "M/s", ">=", "200", "ok", "a", "note"]
    assert lines[3].split() == ["slow", "1.31", "times", "<=", "1.3", "MISSED"]
    assert lines[4].split() == ["plain", "0.0123", "s"]
    assert lines[5] == "not measured: crash: not here"
    assert [figure["met"] for figure in group.to_json()["figures"]] == [True, False, None]


def test_programs() -> None:
    programs = native.build()
    assert sorted(programs) == ["bandwidth", "decompress", "scale", "scan", "search"]
    output = native.join([native.run(programs["scale"], 2, 1) for _ in range(2)])
    assert native.wall(output, "pages") == 1 << 18
    assert native.wall(output, "findings") == 0
    assert len(output["audit"]) == 2
    assert native.cpu(output, "audit") > 0
    with pytest.raises(native.NativeError, match=r"^scan: .*No such file"):
        native.run(programs["scan"], 1, 1, "/nonexistent")
