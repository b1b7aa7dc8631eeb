# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an audit must find in a dump with real defects: check ids, pfns, as in the report.

Worked out from what the workload said that it did, what the kernel said on the console, and
the guest's own /proc/kpageflags; never by the tool that is tested with it.
"""

from __future__ import annotations

import errno
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from .run import LabError

KPF_BUDDY = 1 << 10
KPF_HWPOISON = 1 << 19
# Of a memory block, in machines that are not large.
BLOCK_PAGES = 32768

Finding = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """All that is known of a dump when its expectations are worked out."""

    events: list[dict[str, Any]]
    console: str
    truth: Path
    release: str

    def page_flags(self, pfn: int, count: int = 1) -> list[int]:
        """/proc/kpageflags of a range."""
        with open(self.truth / "proc" / "kpageflags", "rb") as file:
            file.seek(pfn * 8)
            return list(struct.unpack(f"<{count}Q", file.read(count * 8)))


Expectation = Callable[[Scene], list[Finding]]


def nothing(_: Scene) -> list[Finding]:
    """A healthy kernel."""
    return []


def _in_buddy(scene: Scene, pfn: int) -> Finding:
    # Before 5.11 free pages are left on their list by design.
    severity = "info" if scene.release.startswith("5.10.") else "bug"
    return {"check": "hwpoison-in-buddy", "severity": severity, "pfn": pfn, "pfn_end": pfn + 1}


def hwpoison_free(scene: Scene) -> list[Finding]:
    """Free pages with memory errors: taken off their list, or left to be met by a THP."""
    found: list[Finding] = []
    for event in scene.events:
        if event["event"] != "corrupt":
            continue
        pfn = event["pfn"]
        first = pfn // 512 * 512
        if scene.page_flags(pfn)[0] & KPF_BUDDY:
            found.append(_in_buddy(scene, pfn))
        elif not any(word & ~KPF_HWPOISON for word in scene.page_flags(first, 512)):
            found.append(_lost(pfn, first, 512))
    return sorted(found, key=lambda finding: int(finding["pfn"]))


def _lost(pfn: int, first: int, pages: int) -> Finding:
    return {
        "check": "hwpoison-neighbour-leak",
        "severity": "bug",
        "pfn": first,
        "pfn_end": first + pages,
        "poisoned": pfn,
        "lost_bytes": (pages - 1) * 4096,
    }


def hugetlb_poison(scene: Scene) -> list[Finding]:
    """5.10 frees a huge page with poison in it, and what asks for so much memory loses it all."""
    found: list[Finding] = []
    for event in scene.events:
        if event["event"] not in ("poison", "corrupt"):
            continue
        pfn = event["pfn"]
        first = pfn // 512 * 512
        flags = scene.page_flags(first, 512)
        if flags[pfn - first] & KPF_BUDDY and flags[pfn - first] & KPF_HWPOISON:
            found.append(_in_buddy(scene, pfn))
        elif flags[pfn - first] == KPF_HWPOISON and not any(w & ~KPF_HWPOISON for w in flags):
            found.append(_lost(pfn, first, 512))
    return found


def _hands_out(scene: Scene, order: int) -> bool:
    """Whether a block that was freed may be handed out again with poison in it.

    Since 5.13 per-cpu lists have blocks of these orders, too; 6.1 looks at them only when it
    takes them from the buddy (check_new_pcp()).
    """
    return scene.release.startswith("6.1.") and (order <= 3 or order == 9)


def _completes_another(scene: Scene, first: int, pages: int) -> bool:
    """Whether nothing tells a lost block from the rest of the allocation before it."""
    return bool(first & pages) and not any(scene.page_flags(first - pages, pages))


def hwpoison_leak(scene: Scene) -> list[Finding]:
    """Blocks that allocations dropped round a poisoned page, and poison on a free list.

    A finding that is "unsure" may be there or not, as far as the guest could tell.
    """
    found: list[Finding] = []
    for event in scene.events:
        if event["event"] != "kernel_poison":
            continue
        pfn, first, pages = event["pfn"], event["first"], 1 << event["order"]
        flags = scene.page_flags(first, pages)
        if not flags[pfn - first] & KPF_HWPOISON:
            raise LabError(f"pfn {pfn} was not poisoned")
        if event["again"]:
            if _hands_out(scene, event["order"]):
                found.append({**_in_buddy(scene, pfn), "unsure": True})
                found.append({**_lost(pfn, first, pages), "unsure": True})
                continue
            # On no list and nobody's: /proc/kpageflags has nothing to say of them.
            if any(word & ~KPF_HWPOISON for word in flags):
                raise LabError(f"the block at pfn {first} was not dropped as it should have been")
            unsure = {"unsure": True} if _completes_another(scene, first, pages) else {}
            found.append({**_lost(pfn, first, pages), **unsure})
        elif flags[pfn - first] & KPF_BUDDY:
            found.append(_in_buddy(scene, pfn))
        else:
            raise LabError(f"the poisoned pfn {pfn} is not on a free list")
    return sorted(found, key=lambda finding: int(finding["pfn"]))


def offlined_thp(scene: Scene) -> list[Finding]:
    """Before 6.12 do_migrate_range() counts a THP that it isolates as one page."""
    if not scene.release.startswith(("5.10.", "6.1.")):
        return []
    return [{"check": "counter-drift", "severity": "bug", "pfn": None, "pfn_end": None}]


def hvo_free(scene: Scene) -> list[Finding]:
    """Huge pages whose memmap was not restored as it was: each is lost when it is freed.

    Some of its tail pages are images of its first ones, heads among them, and that is the more
    specific finding. The kernel stops complaining after 60 pages: two huge pages' worth.
    """
    bad = {int(pfn, 16) for pfn in re.findall(r"Bad page state in .* pfn:(\w+)", scene.console)}
    if bad:
        # These were freed too, however much of it the console says.
        bad |= {e["pfn"] for e in scene.events if e.get("kind") == "hugetlb"}
    found: list[Finding] = []
    for head in sorted({pfn // 512 * 512 for pfn in bad}):
        if any(word & KPF_BUDDY for word in scene.page_flags(head, 512)):
            raise LabError(f"the huge page at pfn {head} was freed in spite of its bad pages")
        found.append(
            {
                "check": "compound-structure",
                "severity": "bug",
                "pfn": head,
                "pfn_end": head + 512,
            }
        )
    return found


def soft_offline_leak(scene: Scene) -> list[Finding]:
    """Pages that madvise() was refused to offline, on kernels that then keep its reference."""
    if not scene.release.endswith("-leak"):
        return []
    return [
        {
            "check": "soft-offline-leak",
            "severity": "bug",
            "pfn": event["pfn"],
            "pfn_end": event["pfn"] + 1,
        }
        for event in sorted(scene.events, key=lambda event: int(event.get("pfn", 0)))
        if event["event"] == "poison" and event["errno"] == errno.EIO
    ]


def dax_poison(scene: Scene) -> list[Finding]:
    """The page of an altmap is no data: it is worth knowing that its error was handled as such."""
    (pfn,) = (event["pfn"] for event in scene.events if event["event"] == "corrupt")
    return [{"check": "stale-page-reference", "severity": "info", "pfn": pfn, "pfn_end": pfn + 1}]


def in_flight(name: str) -> Expectation:
    """What is amiss for a moment while an error is handled: worth knowing, and no fault."""

    def expected(scene: Scene) -> list[Finding]:
        (pfn,) = (e["pfn"] for e in scene.events if e["event"] in ("poison", "corrupt"))
        found = {"check": "hwpoison-accounting", "severity": "info", "pfn": None, "pfn_end": None}
        if name == "buddy":
            found.update(check="hwpoison-in-buddy", pfn=pfn, pfn_end=pfn + 1)
        elif name == "block":
            block = pfn // BLOCK_PAGES * BLOCK_PAGES
            found.update(pfn=block, pfn_end=block + BLOCK_PAGES)
        return [found]

    return expected


def dax_teardown(scene: Scene) -> list[Finding]:
    """Pages in pipes and rings whose device is gone: from 5.18 on nobody waits for them.

    The ring of 5.10 and 6.1 refuses pages of files, and that of all kernels those of fsdax;
    the pages of one large folio are one buffer to it, which names the first.
    """
    unbound = [event for event in scene.events if event["event"] == "stuck"][-1]
    if not unbound["ended"]:
        return []
    unmounted = any(event.get("comm") == "umount" for event in scene.events)
    device = "/mnt/dax/file" if unmounted else "/dev/dax1.0"
    pins = next(event for event in scene.events if event.get("path") == device)
    pfns = [*range(pins["first"], pins["first"] + pins["pages"]), pins["twice"]]
    if not pins["uring"]:
        pfns.append(pins["pfn"] // 512 * 512)
    return [
        {"check": "stale-page-reference", "severity": "bug", "pfn": pfn, "pfn_end": pfn + 1}
        for pfn in sorted(pfns)
    ]
