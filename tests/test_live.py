# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running kernel is read again until what looks wrong holds still, or is dropped."""

from __future__ import annotations

import resource
import struct
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Optional, cast

import pytest

from drgn_contrib import bounds, live
from drgn_contrib.target import OpenedTarget

Finding = Dict[str, Any]


def finding(
    pfn: Optional[int], summary: str = "x", severity: str = "bug", **evidence: Any
) -> Finding:
    return {
        "check": "refcount-leak" if pfn is not None else "counter-drift",
        "severity": severity,
        "pfn": pfn,
        "pfn_end": None if pfn is None else pfn + 1,
        "summary": summary,
        "evidence": evidence,
    }


class Machine:
    """A kernel whose findings and pages are functions of how often it was read."""

    def __init__(
        self, found: "Callable[[int], List[Finding]]", word: Callable[[int], int] = lambda look: 0
    ) -> None:
        self.reads = self.looks = 0
        # Reads that see only part of what refcount-leak needs.
        self.torn: "tuple[int, ...]" = ()
        self._found, self._word = found, word
        # What the last read was to judge.
        self.among: "set[int]" = set()

    def audit(self, *_: object, earlier: "tuple[Any, ...]", **__: object) -> "Dict[str, Any]":
        self.reads += 1
        found = self._found(self.reads)
        pfns = earlier[0] if earlier else b""
        self.among = {pfn for (pfn,) in struct.iter_unpack("Q", pfns)}
        disturbed = sorted({f["pfn"] for f in found if f["pfn"] is not None})
        names = ("refcount-leak", "counter-drift")
        checked = [{"id": name, "status": "ran", "reason": None} for name in names]
        if self.reads in self.torn:
            checked[0].update(status="partial", reason="a list broke off")
        return {
            "checks": checked,
            "findings": [f for f in found if f["pfn"] is None or f["pfn"] in self.among],
            "earlier": (struct.pack(f"{len(disturbed)}Q", *disturbed), (), b""),
        }

    def snapshot(self, pfns: bytes) -> bytes:
        self.looks += 1
        return struct.pack("Q", self._word(self.looks)) * (len(pfns) // 8)


def run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> "tuple[Dict[str, Any], Any]":
    monkeypatch.setattr(live, "Kernel", lambda *args, **kwargs: machine)
    monkeypatch.setattr(live, "PAUSE", 0)
    opened = SimpleNamespace(kernel=machine, source=None, layout=None, threads=1)
    _, result, ran = live.audit_live(cast(OpenedTarget, opened))
    return result, ran


def test_nothing_wrong_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result, ran = run(Machine(lambda read: []), monkeypatch)
    assert (ran.reads, ran.dropped, ran.unsettled) == (1, 0, 0)
    assert result["findings"] == []


def test_what_is_for_a_reader_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    result, ran = run(Machine(lambda read: [finding(1, severity="info")]), monkeypatch)
    assert (ran.reads, ran.dropped, ran.unsettled) == (2, 0, 0)
    assert [f["severity"] for f in result["findings"]] == ["info"]


def test_what_is_for_a_reader_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often another page makes it read again."""
    machine = Machine(lambda read: [finding(1), finding(2, severity="info")])
    result, ran = run(machine, monkeypatch)
    assert ran.reads == live.SETTLED + 1
    assert [(f["pfn"], f["severity"]) for f in result["findings"]] == [(2, "info"), (1, "bug")]


def test_what_changed_meanwhile_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of pages hardly any is wrong in the next read, too."""
    moving = Machine(lambda read: [finding(pfn) for pfn in range(read * 900, read * 900 + 1000)])
    result, ran = run(moving, monkeypatch)
    assert (ran.reads, ran.dropped, ran.unsettled, result["findings"]) == (3, 100, 0, [])
    assert len(moving.among) == 100


def test_what_stays_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is gone in one read is not; nor what came only later."""

    def found(read: int) -> "List[Finding]":
        transient = [finding(2)] if read != 2 else []
        return [finding(1, refcount=2), *transient, *([finding(3)] if read > 1 else [])]

    result, ran = run(Machine(found), monkeypatch)
    assert (ran.reads, ran.dropped, ran.unsettled) == (live.SETTLED + 1, 0, 0)
    (only,) = result["findings"]
    assert only["pfn"] == 1
    assert only["evidence"]["refcount"] == 2
    assert only["evidence"]["reads"] == live.SETTLED
    assert only["evidence"]["reads_milliseconds"] >= 0


def test_what_moved_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts from when it held still."""
    machine = Machine(lambda read: [finding(1, refcount=min(read, 4))])
    result, ran = run(machine, monkeypatch)
    assert ran.reads == 3 + live.SETTLED
    assert result["findings"][0]["evidence"]["reads"] == live.SETTLED


def test_a_page_that_changes_between_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no finding, though every read said the same, and its check is partial."""
    result, ran = run(Machine(lambda read: [finding(1)], lambda look: look % 3), monkeypatch)
    # Then none of the reads that are left could be enough.
    reads = live.MAX_READS - live.SETTLED + 2
    assert (ran.reads, ran.unsettled, result["findings"]) == (reads, 1, [])
    (leak, drift) = result["checks"]
    assert (leak["status"], drift["status"]) == ("partial", "ran")
    assert "did not hold still" in leak["reason"]


def test_a_page_that_moves_within_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a read says nothing of it, and does not refute it."""

    def found(read: int) -> "List[Finding]":
        moved: Finding = {"moved": 1} if read in (2, 4) else {}
        return [finding(1, refcount=2, **moved), finding(2, moved=1), finding(3, "x", "info")]

    result, ran = run(Machine(found), monkeypatch)
    # From the fifth on.
    assert (ran.reads, ran.dropped, ran.unsettled) == (live.MAX_READS, 0, 1)
    assert [(f["pfn"], f["evidence"].get("reads")) for f in result["findings"]] == [
        (3, None),
        (1, live.SETTLED),
    ]
    assert "moved" not in result["findings"][1]["evidence"]
    assert result["checks"][0]["status"] == "partial"


def test_a_torn_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refutes nothing, and what it could not see a later one may."""
    machine = Machine(lambda read: [finding(1)] if read not in (1, 3) else [])
    machine.torn = (1, 3)
    result, ran = run(machine, monkeypatch)
    # The fourth says which page is wrong, the fifth is the first to judge it.
    assert (ran.reads, ran.dropped, ran.unsettled) == (4 + live.SETTLED, 0, 0)
    assert [f["evidence"]["reads"] for f in result["findings"]] == [live.SETTLED]
    assert result["checks"][0]["status"] == "ran"


@pytest.mark.parametrize(("absent", "told"), [(0, [7]), (3, [7]), (4, []), (5, [])])
def test_torn_reads_alone(monkeypatch: pytest.MonkeyPatch, absent: int, told: "List[int]") -> None:
    """What changes under them is not kept; what was not there once counts anew from then on."""

    def found(read: int) -> "List[Finding]":
        moving = [finding(pfn) for pfn in range(read * 100, read * 100 + 200)]
        return [*([finding(7)] if read != absent else []), *moving]

    machine = Machine(found)
    machine.torn = tuple(range(20))
    result, ran = run(machine, monkeypatch)
    assert ran.reads <= live.MAX_READS
    assert [f["pfn"] for f in result["findings"]] == told
    assert all(f["evidence"]["reads"] >= live.SETTLED for f in result["findings"])
    # Those of the last read, and of the one before that were there again.
    assert ran.unsettled <= 201


def test_another_number_in_a_torn_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four reads in a row are no four of five."""

    def found(read: int) -> "List[Finding]":
        return [finding(1, refcount=3 if read == 4 else 2)]

    machine = Machine(found)
    machine.torn = tuple(range(20))
    result, ran = run(machine, monkeypatch)
    assert (ran.reads, [f["evidence"]["reads"] for f in result["findings"]]) == (8, [4])
    machine = Machine(lambda read: [finding(1, refcount=3 if read in (4, 7) else 2)])
    machine.torn = tuple(range(20))
    result, ran = run(machine, monkeypatch)
    assert (result["findings"], ran.unsettled) == ([], 1)


def test_a_task_that_had_a_word_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What names a page in one read alone does not hold it."""

    def found(read: int) -> "List[Finding]":
        if read == 3:
            return [finding(1, severity="info", refcount=2, task="x")]
        return [finding(1, severity="suspect" if read == 4 else "bug", refcount=2)]

    result, ran = run(Machine(found), monkeypatch)
    assert (ran.reads, ran.dropped) == (live.SETTLED + 2, 0)
    assert [f["severity"] for f in result["findings"]] == ["suspect"]


def test_a_list_that_is_always_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(lambda read: [])
    machine.torn = tuple(range(20))
    result, ran = run(machine, monkeypatch)
    assert (ran.reads, result["checks"][0]["status"]) == (live.SETTLED + 1, "partial")


@pytest.mark.parametrize("moving", [True, False])
def test_counters(monkeypatch: pytest.MonkeyPatch, moving: bool) -> None:
    """One that is off by the same each time is off; one that moves is not judged."""

    def found(read: int) -> "List[Finding]":
        by = read if moving else 1
        return [finding(None, f"node 0: NR_X is {10 + by}, a recount gives 10", difference=by)]

    result, _ = run(Machine(found), monkeypatch)
    assert len(result["findings"]) == (not moving)
    assert result["checks"][1]["status"] == ("partial" if moving else "ran")


def test_a_counter_that_other_findings_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a read or two something else was wrong that it may come from: they say nothing of it."""

    def found(read: int) -> "List[Finding]":
        disputed = 512 if read in (2, 4) else read
        excuse = "a CPU was in the kernel"
        evidence = {"difference": 40, "in_flight": excuse, "disputed_pages": disputed}
        summary = "node 0: NR_X is 50, a recount gives 10"
        return [finding(None, summary, severity="info", **evidence)]

    result, ran = run(Machine(found), monkeypatch)
    assert ran.reads == live.SETTLED + 2
    (only,) = result["findings"]
    assert (only["severity"], only["evidence"]["reads"]) == ("suspect", live.SETTLED)


@pytest.mark.parametrize("moving", [True, False])
def test_counters_that_somebody_may_be_changing(
    monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    """The reader is always somebody in the kernel: what is always the same is not its doing."""

    def found(read: int) -> "List[Finding]":
        by = read if moving else 7
        words = f"node 0: NR_X is {10 + by}, a recount gives 10"
        excuse = {"difference": by, "in_flight": "a CPU was in the kernel"}
        return [
            finding(None, words, severity="info", **excuse),
            finding(None, "node 0: NR_Y is 2, a recount gives 1", "info", **excuse, task="x"),
            finding(
                None, "node 0: NR_Z is 2, a recount gives 1", "info", **excuse, disputed_pages=9
            ),
        ]

    result, ran = run(Machine(found), monkeypatch)
    assert (ran.reads, ran.unsettled) == (2 if moving else live.SETTLED, 0)
    severities = {f["summary"][8:12]: f["severity"] for f in result["findings"]}
    assert severities == {"NR_X": "info" if moving else "suspect", "NR_Y": "info", "NR_Z": "info"}
    assert result["checks"][1]["status"] == "ran"


def test_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long range its ends are looked at, and some between."""
    long = {**finding(0), "pfn_end": 100000}
    pfns = list(live._pfns(long))
    assert (pfns[0], pfns[-1]) == (0, 99999)
    assert len(pfns) <= 40


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By ours alone, and never above what an administrator set."""
    told: "List[Any]" = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (-1, 1 << 20))
    monkeypatch.setattr(resource, "setrlimit", lambda *args: told.append(args))
    bounds.bound_memory(1 << 30)
    assert told == [(resource.RLIMIT_DATA, (1 << 20, 1 << 20))]
