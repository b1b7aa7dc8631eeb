# SPDX-License-Identifier: LGPL-2.1-or-later
"""Audits of a running kernel, whose memory changes under the reader.

One read of it is no snapshot: a list is walked after the pages on it were read, a counter
after what it counts, and each may have changed in between. So what looks wrong is read again,
pages, folios and holders all anew, until it has been the same so many times in a row that
chance is no explanation, while its struct pages, looked at in between, held still too. What
is gone in a single read was a change that was under way.

As many pages look wrong as change while one read lasts, and to judge one takes time. So the
first read only says which they are, and the second judges those that it finds wrong, too.
"""

from __future__ import annotations

import bisect
import os
import re
import resource
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from drgn_contrib._pageaudit import Kernel
from drgn_contrib.report import LiveRun

if TYPE_CHECKING:
    from drgn_contrib.target import OpenedTarget

#: What is the same in so many reads in a row is there.
SETTLED = 4
#: What is not there so often within so many does not hold still.
MAX_READS = 8
#: Between two reads its pages are looked at so often, as long as a read takes; at least so
#: many seconds apart.
LOOKS = 12
PAUSE = 0.03
#: Of a finding's many pages so many are looked at, spread over all.
_PAGES = 32

#: What a list may do to a check by changing under it: in another read it may be whole.
_BY_CHANCE = ("partial", "failed")
#: Checks that judge no pages.
_OF_COUNTERS = {"zone-accounting", "counter-drift"}

#: Evidence of that instant: who had a page in hand, or a word of it, or what size was unknown.
_PASSING = {
    *("also_named_by", "task", "pid", "in_flight", "waiting", "waiters", "disputed_pages"),
    *("moved", "may_hold"),
}

_Found = Dict[str, Any]
#: "earlier" of an audit: pages that it found wrong, how much it could not read, and where.
_Earlier = Tuple[bytes, Tuple[int, ...], bytes]
_Key = Tuple[str, Optional[int], Optional[int], str]


@dataclass
class _Suspect:
    """A finding that is read again, and how long it has been the same."""

    found: _Found
    since: float
    reads: int

    @property
    def settled(self) -> bool:
        """Whether it has been there often enough."""
        return self.reads >= SETTLED

    def may_settle(self, reads: int) -> bool:
        """Whether it is yet to be there often enough, and can be in so many more reads."""
        return SETTLED - reads <= self.reads < SETTLED

    def restart(self, found: _Found, now: float) -> None:
        """It has changed, and so says nothing yet."""
        self.found, self.since, self.reads = found, now, _says(found)

    def repeat(self, found: _Found) -> None:
        """It is the same. The mildest that was said of it counts, but for what says nothing.

        A stack that names the page in one read and not in another does not hold it; nor
        does the buffer that we read through, where words of other pages pass.
        """
        if not _is_suspicious(found):
            return
        milder = (found["severity"], self.found["severity"]) == ("suspect", "bug")
        if milder or not _is_suspicious(self.found) or _has_moved(self.found):
            self.found = found
        self.reads += 1


class _Reads:
    """What the reads of one audit have told so far."""

    def __init__(self, result: "Dict[str, Any]", now: float) -> None:
        self.count = 1
        #: What was refuted.
        self.dropped = 0
        self.suspects = {_key(f): _Suspect(f, now, _says(f)) for f in _suspicious(result)}
        self._last = result
        self._whole = _whole(result)
        #: Each check as the read told it that saw most of what it needs.
        self._best = {check["id"]: check for check in result["checks"]}

    def must_go_on(self) -> bool:
        """Whether another read may tell something."""
        return (
            (self.count == 1 and bool(self._last["earlier"][0]))
            or any(s.may_settle(MAX_READS - self.count) for s in self.suspects.values())
            or (self.count <= SETTLED and any(map(self._is_torn, self._best)))
        )

    def earlier(self) -> _Earlier:
        """What the next read is to know: which pages to judge, new ones or those judged so far."""
        left, unreadable, unread = self._last["earlier"]
        torn = any(map(self._is_torn, self._best.keys() - _OF_COUNTERS))
        judged = [s.found for s in self.suspects.values()]
        judged += [f for f in self._last["findings"] if not _is_judged(f)]
        pfns = [f["pfn"] for f in judged if f["pfn"] is not None]
        new = left if self.count == 1 or torn else b""
        return new + struct.pack(f"{len(pfns)}Q", *pfns), unreadable, unread

    def add(self, result: "Dict[str, Any]", moved: "set[_Key]", now: float) -> None:
        """Another read.

        :param moved: Suspects whose pages changed since the one before.
        """
        before, (left, *_) = self._whole, self._last["earlier"]
        self.count += 1
        self._last, self._whole = result, _whole(result)
        found = {_key(f): f for f in result["findings"]}
        for key in list(self.suspects):
            self._judge(key, found.get(key), key in moved, now)
        for new in _suspicious(result):
            key = _key(new)
            # What no read could see before; else it is a change that is under way now.
            first = self.count == 2 and _is_left(new, left)
            if (first or self._is_torn(key[0])) and key not in self.suspects:
                self.suspects[key] = _Suspect(new, now, _says(new))
        # What it judged is what the one before saw, which must be all; but for counters.
        seen = self._whole & (before | _OF_COUNTERS)
        self._best.update((c["id"], c) for c in result["checks"] if c["id"] in seen)

    def _judge(self, key: _Key, again: Optional[_Found], moved: bool, now: float) -> None:
        """What the last read says of a suspect."""
        suspect = self.suspects[key]
        still = again is not None and not moved and not _has_moved(again)
        if again is not None and still and _same(again, suspect.found):
            suspect.repeat(again)
        elif _is_explained(again):
            # This read says nothing of it.
            pass
        elif again is not None and not _is_excused(suspect.found):
            suspect.restart(again, now)
        elif again is None and key[0] not in self._whole:
            # It is not refuted, and not the same in each read. Another may tell it anew.
            suspect.reads, suspect.since = 0, now
            if self._is_torn(key[0]):
                del self.suspects[key]
        else:
            self.dropped += _is_judged(suspect.found)
            del self.suspects[key]

    def _is_torn(self, check: str) -> bool:
        """Whether no read saw all that a check needs."""
        return self._best[check]["status"] in _BY_CHANCE

    def told(self, now: float) -> "Tuple[Dict[str, Any], int]":
        """The last read's result, with what lasted of all; how much of it never held still."""
        result = self._last
        result["checks"] = list(self._best.values())
        settled = {key: s for key, s in self.suspects.items() if s.settled}
        unsettled = [
            s.found
            for key, s in self.suspects.items()
            if key not in settled and not _is_excused(s.found)
        ]
        told = settled.keys() | set(map(_key, unsettled))
        result["findings"] = [
            f
            for f in result["findings"]
            if not _is_judged(f) and not _has_moved(f) and _key(f) not in told
        ] + [_with_reads(suspect, now) for suspect in settled.values()]
        _tell_unsettled(result, unsettled, self.count)
        return result, len(unsettled)


def audit_live(
    opened: OpenedTarget,
    checks: Optional[Sequence[str]] = None,
    progress: Optional[Callable[[str, int, int], object]] = None,
    *,
    max_cpu: int = 0,
    picture: bool = False,
) -> "Tuple[Kernel, Dict[str, Any], LiveRun]":
    """What Kernel.audit() says of a running kernel, without what did not last.

    Returns the kernel as last read, too, and what the audit cost.
    """
    begun, cpu_begun = time.monotonic(), _cpu_seconds()
    kernel, read_begun = opened.kernel, begun
    result = kernel.audit(checks, progress, max_cpu=max_cpu, picture=picture, earlier=())
    now = time.monotonic()
    reads = _Reads(result, now)
    while reads.must_go_on():
        moved = _watch(kernel, reads.suspects, now - read_begun)
        kernel = Kernel(opened.source, opened.layout, threads=opened.threads)
        earlier = reads.earlier()
        read_begun = time.monotonic()
        result = kernel.audit(checks, progress, max_cpu=max_cpu, picture=picture, earlier=earlier)
        now = time.monotonic()
        reads.add(result, moved, now)
    told, unsettled = reads.told(now)
    live = LiveRun(
        reads=reads.count,
        seconds=round(time.monotonic() - begun, 3),
        cpu_seconds=round(_cpu_seconds() - cpu_begun, 3),
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        dropped=reads.dropped,
        unsettled=unsettled,
    )
    return kernel, told, live


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _is_judged(found: _Found) -> bool:
    return bool(found["severity"] != "info")


def _is_excused(found: _Found) -> bool:
    """A counter that is info only because a CPU was in the kernel, and may be in the middle.

    Of a running kernel the reader's own always is. What is off by the same in each read
    is off; what is not is no reason to read once more.
    """
    evidence = found["evidence"]
    return (
        found["severity"] == "info"
        and "in_flight" in evidence
        and "task" not in evidence
        and abs(evidence.get("difference", 0)) > evidence.get("disputed_pages", 0)
    )


def _is_explained(found: Optional[_Found]) -> bool:
    """A counter that may be off by pages that just then were of no known size."""
    if found is None or not found["evidence"].get("difference"):
        return False
    evidence = found["evidence"]
    return bool(abs(evidence["difference"]) <= evidence.get("disputed_pages", 0))


def _is_suspicious(found: _Found) -> bool:
    return _is_judged(found) or _is_excused(found)


def _has_moved(found: _Found) -> bool:
    """Whether its page was another by the time that its finding was made."""
    return "moved" in found["evidence"]


def _says(found: _Found) -> int:
    """How many reads it counts for."""
    return int(_is_suspicious(found) and not _has_moved(found))


def _suspicious(result: Mapping[str, Any]) -> "List[_Found]":
    return list(filter(_is_suspicious, result["findings"]))


def _same(a: _Found, b: _Found) -> bool:
    """Whether two reads found the same, whoever had to do with it meanwhile."""
    if a["summary"] != b["summary"]:
        return False
    keys = (a["evidence"].keys() | b["evidence"].keys()) - _PASSING
    return all(a["evidence"].get(key) == b["evidence"].get(key) for key in keys)


def _key(found: _Found) -> _Key:
    """What makes two findings the same one, whatever its numbers are."""
    if found["pfn"] is None:
        # "node 0 zone Normal: free pages is 12, a recount gives 13"
        what = found["summary"].partition(" is ")[0]
    else:
        what = re.sub(r"\d+", "#", found["summary"])
    return found["check"], found["pfn"], found["pfn_end"], what


def _whole(result: Mapping[str, Any]) -> "set[str]":
    """The checks that a read had all for."""
    return {c["id"] for c in result["checks"] if c["status"] not in _BY_CHANCE}


def _is_left(found: _Found, left: bytes) -> bool:
    """Whether it is of a page that the first read left to the second."""
    pfn = found["pfn"]
    if pfn is None:
        return False
    pfns = memoryview(left).cast("Q")
    at = bisect.bisect_left(pfns, pfn)
    return at < len(pfns) and pfns[at] == pfn


def _pfns(found: _Found) -> Sequence[int]:
    """Pages of a finding that are looked at: its ends always."""
    if found["pfn"] is None:
        return ()
    pages = range(found["pfn"], found["pfn_end"])
    if len(pages) <= _PAGES:
        return pages
    return [*pages[:: len(pages) // (_PAGES - 1)], pages[-1]]


def _watch(kernel: Kernel, suspects: "Mapping[_Key, _Suspect]", seconds: float) -> "set[_Key]":
    """Looks at the suspects' pages for a while; which of them were seen to change.

    :param seconds: How long a read takes: what comes and goes in that time is to be seen.
    """
    # There may be thousands of new ones, and hardly any is there in the next read.
    old = [s for s in suspects.values() if s.reads > 1]
    pfns = sorted({pfn for s in old for pfn in _pfns(s.found)})
    packed = struct.pack(f"{len(pfns)}Q", *pfns)
    first = memoryview(kernel.snapshot(packed)).cast("Q")
    changed: "set[int]" = set()
    for _ in range(LOOKS):
        time.sleep(max(PAUSE, seconds / LOOKS if old else 0))
        again = memoryview(kernel.snapshot(packed)).cast("Q")
        changed.update(pfn for pfn, *seen in zip(pfns, first, again) if seen[0] != seen[1])
    return {key for key, s in suspects.items() if not changed.isdisjoint(_pfns(s.found))}


def _with_reads(suspect: _Suspect, now: float) -> _Found:
    found = suspect.found
    evidence = {
        **found["evidence"],
        "reads": suspect.reads,
        "reads_milliseconds": round((now - suspect.since) * 1000),
    }
    if _is_excused(found):
        del evidence["in_flight"]
        found = {**found, "severity": "suspect"}
    return {**found, "evidence": evidence}


def _tell_unsettled(result: "Dict[str, Any]", unsettled: "Sequence[_Found]", reads: int) -> None:
    """What never held still is neither a finding nor refuted: its check is partial."""
    for check in result["checks"]:
        mine = [f for f in unsettled if f["check"] == check["id"]]
        if not mine:
            continue
        things = "counters or pages" if len(mine) > 1 else "counter or page"
        why = f"{len(mine)} {things} did not hold still over {reads} reads of the running kernel"
        if check["status"] == "ran":
            check.update(status="partial", reason=why)
        else:
            check["reason"] = f"{check['reason']}; {why}"
