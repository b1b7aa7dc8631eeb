# SPDX-License-Identifier: LGPL-2.1-or-later
"""soft-offline-leak and device-page-reference: references planted on device memory."""

from __future__ import annotations

import re
import stat
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.block import for_each_disk
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.fs import for_each_file
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.slab import slab_object_info
from places import altmap
from planting import PAGE_SIZE, Expected, OpenSite, Site

IDLE_PAGES = 64


def pgmaps(site: Site) -> "list[dict[str, Any]]":
    maps: "list[dict[str, Any]]" = site.kernel().memory()["pgmaps"]
    return maps


def idle_folio(site: Site, pgmap: "dict[str, Any]") -> "tuple[int, int]":
    """The last folio of a pgmap, which nobody uses: first page, and the one behind."""
    ((_, end),) = pgmap["ranges"]
    pages = 1 << pgmap["vmemmap_shift"]
    return end - pages, end


def device_of(site: Site, pfn: int) -> str:
    """The innermost resource that has a page, as the guest's /proc/iomem says."""
    name = ""
    for line in site.dump.truth("proc/iomem").decode().splitlines():
        found = re.match(r" *(\w+)-(\w+) : (.*)", line)
        assert found
        if int(found[1], 16) <= pfn * PAGE_SIZE <= int(found[2], 16):
            name = found[3]
    return name


def found(check: str, folio: "tuple[int, int]", severity: str = "bug") -> Expected:
    return (check, severity, *folio)


def test_device_names(site: Site) -> None:
    for pgmap in pgmaps(site):
        ((_, end),) = pgmap["ranges"]
        assert pgmap["device"] == device_of(site, end - 1)
        assert re.fullmatch(r"(namespace|dax)\d\.0", pgmap["device"])
        # namespace0.0 is pmem0's; a character device has no disk.
        assert pgmap["disk"] == disk_of(site, pgmap)


def disk_of(site: Site, pgmap: "dict[str, Any]") -> str:
    """The disk whose driver's data the pgmap is a part of."""
    address = int(pgmap["address"], 16)
    for disk in for_each_disk(site.prog):
        object = slab_object_info(site.prog, disk.private_data)
        size = int(object.slab_cache.object_size) if object else 0
        if object and object.address <= address < object.address + size:
            return str(disk.disk_name.string_().decode())
    return ""


def percpu_ref_sum(prog: drgn.Program, ref: drgn.Object) -> int:
    """Of one that counts by CPU: PERCPU_COUNT_BIAS and what each CPU has."""
    counters = drgn.Object(prog, "long *", int(ref.percpu_count_ptr))
    return (
        int(ref.data.count.counter)
        + (1 << 63)
        + sum(int(per_cpu_ptr(counters, cpu)[0]) for cpu in for_each_possible_cpu(prog))
    )


def test_percpu_refs(site: Site) -> None:
    """One reference at first and one for each folio; by drgn's sum over all CPUs, too."""
    for pgmap in pgmaps(site):
        ref = drgn.Object(site.prog, "struct dev_pagemap", address=int(pgmap["address"], 16)).ref
        ref = ref[0] if ref.type_.kind == drgn.TypeKind.POINTER else ref
        reference = pgmap["reference"]
        assert int(reference["address"], 16) == ref.address_
        assert (reference["atomic"], reference["dead"]) == (False, False)
        assert reference["count"] == percpu_ref_sum(site.prog, ref)
        ((start, end),) = pgmap["ranges"]
        altmap_of = pgmap["altmap"] or {"reserve": 0, "free": 0}
        pages = end - start - altmap_of["reserve"] - altmap_of["free"]
        assert reference["count"] == 1 + (pages >> pgmap["vmemmap_shift"])
        with site.planted():
            # Being switched to one counter: what there is says nothing yet.
            site.set(ref.percpu_count_ptr, int(ref.percpu_count_ptr) | 3)
            (now,) = (p["reference"] for p in pgmaps(site) if p["address"] == pgmap["address"])
            assert now == {**reference, "atomic": True, "dead": True, "count": None}
            site.set(ref.data.count.counter, 3)
            (now,) = (p["reference"] for p in pgmaps(site) if p["address"] == pgmap["address"])
            assert now["count"] == 3


def test_one_reference(site: Site) -> None:
    """What madvise() took and soft_offline_page() did not put, on each kind of device."""
    for pgmap in pgmaps(site):
        folio = idle_folio(site, pgmap)
        with site.planted():
            site.add(site.refcount(folio[0]), 1)
            (finding,) = site.expect(found("soft-offline-leak", folio))
            assert finding["evidence"]["device"] == pgmap["device"]
            assert "waiting" not in finding["evidence"]


def test_two_references(site: Site) -> None:
    """Memory error handling takes one."""
    folio = idle_folio(site, pgmaps(site)[0])
    site.add(site.refcount(folio[0]), 2)
    site.expect(found("device-page-reference", folio))


def test_one_that_is_named(site: Site) -> None:
    """The same reference, and a pointer to the page: somebody may have it."""
    folio = idle_folio(site, pgmaps(site)[0])
    site.add(site.refcount(folio[0]), 1)
    site.set(site.prog["kexec_crash_image"], int(site.page(folio[0])))
    (finding,) = site.expect(found("device-page-reference", folio, "suspect"))
    assert "kexec_crash_image" in finding["evidence"]["also_named_by"]


def splice(site: Site, pfn: int) -> None:
    """One more buffer in a pipe, as vmsplice() would add it."""
    (pid,) = {event["pid"] for event in site.events("pipe")}
    task = find_task(site.prog, pid)
    inodes = (file.f_inode for _, file in for_each_file(task))
    pipe = next(inode.i_pipe for inode in inodes if stat.S_ISFIFO(int(inode.i_mode)))
    mask = int(pipe.ring_size) - 1
    last = pipe.bufs[int(pipe.head) - 1 & mask]
    buffer = pipe.bufs[int(pipe.head) & mask]
    site.write(int(buffer.address_of_()), last.to_bytes_())
    site.set(buffer.page, int(site.page(pfn)))
    site.add(pipe.head, 1)


def test_altmap_page_as_data(site: Site) -> None:
    """Where a device keeps its memmap there is nothing that a pipe may hold."""
    pfn = altmap(site)
    splice(site, pfn)
    (finding,) = site.expect(("stale-page-reference", "bug", pfn, pfn + 1))
    assert finding["evidence"]["target"] == "altmap metadata"
    assert "pipe_inode_info" in finding["evidence"]["holder"]


def test_device_page_as_data(site: Site) -> None:
    """Its data may well be held."""
    folio = idle_folio(site, pgmaps(site)[0])
    splice(site, folio[0])
    site.add(site.refcount(folio[0]), 1)
    site.expect_nothing()


@pytest.mark.parametrize("kernel", ["v5.10"])
def test_pages_that_memunmap_pages_puts(site: Site) -> None:
    """v5.10 puts each page of a dead pgmap: those that it has come to are idle at 0."""
    pgmap = next(each for each in pgmaps(site) if each["type"] == "generic")
    ref = drgn.Object(site.prog, "struct dev_pagemap", address=int(pgmap["address"], 16)).ref
    _, end = pgmap["ranges"][0]
    maps = pgmap["altmap"]
    first = pgmap["ranges"][0][0] + (maps["reserve"] + maps["free"] if maps else 0)
    # __PERCPU_REF_ATOMIC and __PERCPU_REF_DEAD.
    site.set(ref.percpu_count_ptr, int(ref.percpu_count_ptr) | 3)
    # None is put yet: a queue that is frozen for a reason of its own.
    site.expect_nothing()
    for pfn in range(first, first + IDLE_PAGES):
        site.set(site.refcount(pfn), 0)
    site.expect_nothing()
    # The last one may not have been put.
    site.set(site.refcount(first + IDLE_PAGES - 1), 1)
    site.expect_nothing()
    site.set(site.refcount(first + 10), 1)
    site.expect(found("soft-offline-leak", (first + 10, first + 11)))


def test_memory_lent_to_other_devices(open_site: OpenSite) -> None:
    """An NVMe controller's buffer: who has pages of it only drivers know."""
    site = open_site("v7", "p2pdma")
    with site.planted():
        (pgmap,) = pgmaps(site)
        ((start, end),) = pgmap["ranges"]
        assert (pgmap["type"], pgmap["device"]) == ("p2pdma", device_of(site, start))
        assert end - start == (64 << 20) // PAGE_SIZE
        assert {int(site.refcount(pfn)) for pfn in range(start, end, 61)} == {0}
        site.expect_nothing()
        site.add(site.refcount(end - 1), 1)
        site.expect_nothing()
        site.write(int(site.page(start)) + 8, bytes(8))
        site.expect(("pgmap-dangling", "bug", start, start + 1))
