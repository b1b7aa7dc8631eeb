# SPDX-License-Identifier: LGPL-2.1-or-later
"""pageaudit --live inside a guest: nothing is wrong, until something is."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import pytest
from drgn.helpers.linux import fs, mm, pid
from folios import count, find
from lab import kernels, live, make, plant, soak_live, sos
from lab.qemu import Hardware
from planting import Expected, Site, key, node_counter
from poison import leaves_in_buddy, poison
from reports import schema_validator

from drgn_contrib import target
from drgn_contrib.live import SETTLED

AUDIT = ("--live", "--nice", "0", "--json", "-")
PIECES = (
    *("offline_some 1", "guest anon 4", "guest thp 8", "guest forks 1 2", "guest pipes 1"),
    *("thp_shmem 4", "rest"),
)


@pytest.fixture(scope="module")
def kernel(request: pytest.FixtureRequest) -> kernels.Kernel:
    """One kernel: a guest takes its minutes."""
    return kernels.fetch(request.config.getoption("--live-kernel"))


@pytest.fixture(scope="module")
def guest(kernel: kernels.Kernel) -> Iterator[live.LiveGuest]:
    """As small as one with THPs can be, and with little to do: a read takes it seconds.

    A kernel at a random place may lie in the one block that can be taken offline.
    """
    hardware = Hardware(memory_mib=640)
    with live.guest(
        kernel,
        PIECES,
        cmdline="movablecore=256M nokaslr",
        hardware=hardware,
        files=sos.files(),
    ) as running:
        yield running


class GuestMemory(plant.Core):
    """A copy of a guest's memory; what is written to it is written to the guest, too."""

    def __init__(self, path: Path, guest: live.LiveGuest) -> None:
        super().__init__(path)
        self._guest = guest

    def write(self, phys: int, data: bytes) -> None:
        super().write(phys, data)
        self._guest.write(phys, data)


def site_of(guest: live.LiveGuest, dump: make.Dump) -> Site:
    """A guest that is stopped, to plant faults in; what was read of it is as it is now."""
    guest.vmcore(dump.vmcore)
    private = dump.vmcore.with_name("site")
    private.mkdir()
    site = Site(dump, private)
    site.core = GuestMemory(site.core.path, guest)
    return site


def off_by_one(site: Site) -> Expected:
    """A page that is mapped once more than it is."""
    folio = find(site, "anon")
    counter = count(site, folio, "_mapcount")
    assert counter is not None
    site.add(counter, 1)
    return "mapcount-mismatch", "bug", folio.pfn, folio.pfn + 1


def leak(site: Site) -> Expected:
    """A THP with a reference that nobody has."""
    folio = find(site, "thp")
    site.add(site.refcount(folio.pfn), 1)
    return "refcount-leak", "bug", folio.pfn, folio.pfn + folio.pages


def stale_buffer(site: Site) -> Expected:
    """A pipe's buffer that names a page of a section that is offline."""
    pfn = site.ranges("offline")[0][0] + 77
    (event,) = site.events("pipe")
    task = pid.find_task(site.prog, event["pid"])
    inodes = (file.f_inode for _, file in fs.for_each_file(task))
    pipes = (inode.i_pipe for inode in inodes if stat.S_ISFIFO(int(inode.i_mode)))
    pipe = next(pipe for pipe in pipes if pipe.head > pipe.tail)
    # The first one holds what was written, in the kernel's own page.
    site.set(pipe.bufs[int(pipe.tail)].page, int(site.page(pfn)))
    return "stale-page-reference", "bug", pfn, pfn + 1


def free_poison(site: Site) -> Expected:
    """A poisoned page in the middle of the free block that is taken last."""
    (*_, block) = site.free_blocks(site.zone("DMA32"), 10)
    poison(site, block.pfn + 500)
    return "hwpoison-in-buddy", "bug", block.pfn + 500, block.pfn + 501


def drift(site: Site) -> Expected:
    """A counter that is off by more than other findings may have to do with, in a storm even."""
    counter = node_counter(site, "NR_SHMEM_THPS")
    assert counter is not None
    site.add(counter, 1 << 16)
    return "counter-drift", "bug", None, None


def pass_by(site: Site, pfn: int) -> Callable[[], None]:
    """A reference that somebody takes and puts; returns what puts it, once."""
    page = site.pfn(mm.compound_head(site.page(pfn)))
    site.add(site.refcount(page), 1)
    left = [-1]

    def put() -> None:
        if left:
            site.add(site.refcount(page), left.pop())

    return put


#: Under a storm one may miss a fault whose holder others move.
AUDITS = 3
Fault = Callable[[Site], Expected]
FAULTS: "tuple[Fault, ...]" = (leak, off_by_one, stale_buffer, free_poison, drift)


def is_fault(site: Site, fault: Fault) -> bool:
    """Whether it is one in this kernel: not all know poison, or mind it in free memory."""
    return fault != free_poison or (bool(site.flag("PG_hwpoison")) and not leaves_in_buddy(site))


@dataclass(frozen=True)
class Planted:
    """What is to be found in the guest from now on."""

    faults: "dict[Fault, Expected]"
    #: Ends what was for a moment.
    put: Callable[[], None]

    @property
    def lasting(self) -> "list[Expected]":
        """What a storm leaves where it is: somebody may take the poisoned page."""
        return [found for fault, found in self.faults.items() if fault != free_poison]


@pytest.fixture(scope="module")
def planted(
    kernel: kernels.Kernel, guest: live.LiveGuest, tmp_path_factory: pytest.TempPathFactory
) -> Planted:
    directory = tmp_path_factory.mktemp("stopped")
    events = make.parse_events(guest.command("cat", "/run/events").out)
    (directory / "meta.json").write_text(json.dumps({"events": events}))
    with guest.stopped():
        site = site_of(guest, make.Dump(directory, kernel))
        faults = {fault: fault(site) for fault in FAULTS if is_fault(site, fault)}
        (forks,) = site.events("forks")
        put = pass_by(site, forks["pfn"])
    return Planted(faults, put)


def above_info(report: "dict[str, Any]") -> "list[dict[str, Any]]":
    return [f for f in report["findings"] if f["severity"] != "info"]


def test_sos_report(guest: live.LiveGuest) -> None:
    """Debian's sos, with the plugin, collects the report, as text and for scripts."""

    def collected(name: str) -> str:
        path = f"/tmp/sosreport-*/sos_commands/pageaudit/{name}"
        return guest.command("sh", "-c", f"cat {path}").out

    done = guest.command("python", "-c", sos.REPORT, "/tmp")
    assert "  0 bugs, 0 suspects, " in collected("pageaudit.txt"), done
    report = json.loads(collected("pageaudit.json"))
    schema_validator().validate(report)
    assert above_info(report) == []
    assert report["live"]["nice"] == 10


def test_planted(guest: live.LiveGuest, planted: Planted) -> None:
    """What is wrong is found, and neither what was for a moment nor what changes meanwhile."""
    answer = guest.pageaudit(*AUDIT, "--html", "/tmp/page.html", on_read=planted.put)
    assert answer.status == 1, answer
    report = answer.report
    schema_validator().validate(report)
    found = above_info(report)
    assert sorted(map(key, found), key=repr) == sorted(planted.faults.values(), key=repr)
    for each in found:
        assert each["evidence"]["reads"] >= SETTLED
        assert each["evidence"]["reads_milliseconds"] > 1000
    assert report["live"]["reads"] >= SETTLED
    assert 0 < report["live"]["memory_bytes"] < 128 << 20
    assert report["target"]["live"] is True
    assert report["target"]["path"] == target.KCORE
    assert report["coverage"]["pages_unreadable"] == 0


def test_bounds(guest: live.LiveGuest) -> None:
    """What it may not have it does not take."""
    small = guest.pageaudit("--live", "--max-memory", "4")
    assert (small.status, small.out) == (2, "")
    assert "--max-memory" in small.err


def test_planted_under_a_storm(guest: live.LiveGuest, planted: Planted) -> None:
    """While tasks fork, map and die the same is found, and nothing else."""

    def places(findings: "Iterable[Expected]") -> "set[tuple[Any, ...]]":
        # Where a stack could not be read, a bug is but suspect.
        return {(check, *pfns) for check, _, *pfns in findings}

    soak_live.begin_storm(guest, ("tasks",))
    missing = places(planted.lasting)
    for _ in range(AUDITS):
        answer = guest.pageaudit(*soak_live.AUDIT)
        assert answer.out, answer
        found = places(map(key, above_info(answer.report)))
        assert found <= places(planted.faults.values())
        missing -= found
        if not missing:
            break
    assert not missing
