# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests are made to do: lists of pieces that recipes are put together from."""

from __future__ import annotations

from typing import Callable

from .kernels import Kernel


def memory(_: Kernel, hugepages: int = 8) -> list[str]:
    """Every kind of ordinary memory."""
    return [
        f"hugepages {hugepages}",
        "guest anon 32",
        "guest thp 64",
        "guest forks 4 8",
        "guest shmem 16",
        "thp_shmem 16",
        "guest file /tmp/file 8",
        "guest hugetlb 2",
        "guest mlocked 8",
        "guest pipes 4",
        "guest uring 4",
        "guest aio 128",
        "ksm 4",
    ]


def small_memory(_: Kernel) -> list[str]:
    return [
        "hugepages 4",
        "guest anon 8",
        "guest thp 16",
        "guest forks 2 4",
        "guest shmem 4",
        "guest file /tmp/file 4",
        "guest hugetlb 1",
        "guest mlocked 4",
        "guest pipes 2",
        "guest uring 4",
    ]


END = ["guest churn 64 3", "compact", "still"]


def light(kernel: Kernel) -> list[str]:
    return memory(kernel) + END


def files(_: Kernel) -> list[str]:
    """A file system on a block device, and swap."""
    return ["ext4 96", "guest file /mnt/ext4/file 24", "zram_swap 96", "guest pageout 32"]


def cgroups(_: Kernel, lru: str = "age") -> list[str]:
    """Memory in cgroups, one of them removed; LRU lists aged, or of the other kind."""
    return [
        "cgroup a/b c gone",
        "in_cgroup a/b guest anon 24",
        "in_cgroup a/b guest mlocked 4",
        "in_cgroup c guest thp 16",
        "in_cgroup c guest file /tmp/c 8",
        "in_cgroup gone dd if=/dev/zero of=/tmp/gone bs=1M count=8",
        f"lru_gen {lru}",
        "no_cgroup gone",
        "in_cgroup a/b guest shmem 8",
        "lru_gen age",
    ]


def nodes(kernel: Kernel) -> list[str]:
    """What is on one node moves to the other, some of it back: counters have to follow."""
    return [
        *memory(kernel),
        *("guest migrate 0 1", "guest thp 16", "guest shmem 8 /tmp/huge", "guest migrate 1 0"),
        *("guest anon 16", "guest migrate 0 1"),
    ]


def few_thps(pieces: list[str]) -> list[str]:
    """Pieces that take memory offline: THPs are of those only who ask for them.

    v5.10 and v6.1 miscount each THP that is moved out of there (the recipe offlined-thp), be
    it the data of a program that ran by chance.
    """
    return ["echo madvise >$THP/enabled", *pieces, "echo always >$THP/enabled"]


def hotplug(_: Kernel) -> list[str]:
    """Boot memory offlined and onlined, DIMMs added and removed."""
    return [
        "no_auto_online",
        # movablecore= makes the last blocks of boot memory movable, but for what was
        # taken from there before there were zones.
        "offline_some 3",
        "online ${some##* } online_movable",
        "dimm_add d0 256 online_movable",
        "dimm_add d1 128 online_kernel",
        "dimm_add d2 128 none",
        "dimm_add d3 256 online_movable",
        "guest churn 300 2",
        "dimm_del d3",
    ]


# Ranges that share sections (of 128 MiB) with RAM at one end, the other, or both. Not more
# than four: KASLR knows of no more, and may put the kernel into a fifth.
PMEM_CMDLINE = "memmap=96M!160M memmap=96M!416M memmap=126M!578M memmap=64M!832M"
PMEM_MODULES = ("nd_e820", "nd_pmem", "device_dax", "dax_pmem")


def pmem(_: Kernel) -> list[str]:
    """fsdax with its memmap in RAM and in the device, devdax, one namespace gone again."""
    return [
        "pmem",
        "ext4_dax /dev/pmem0",
        "guest map /mnt/dax/file 8",
        "namespace 1 fsdax pmem",
        "namespace 2 devdax pmem",
        "guest map /dev/dax2.0 8",
        "namespace 3 fsdax pmem",
        "no_namespace pfn3.0",
    ]


def pmem2(_: Kernel) -> list[str]:
    """The other way round: files over an altmap, devdax with its memmap in RAM, one redone."""
    return [
        "pmem",
        "namespace 0 fsdax pmem",
        "ext4_dax /dev/pmem0",
        "guest map /mnt/dax/file 8",
        "namespace 1 devdax ram",
        "guest map /dev/dax1.0 8",
        "namespace 2 fsdax ram",
        "no_namespace pfn2.0",
        "namespace 2 devdax pmem",
        "guest map /dev/dax2.0 4",
        "namespace 3 devdax pmem",
        "no_namespace dax3.0",
    ]


def poison(kernel: Kernel) -> list[str]:
    """Memory errors of both kinds on every kind of page, all handled rightly."""
    if not kernel.has_config("MEMORY_FAILURE"):
        return []
    return [
        "guest poison soft anon 5",
        "guest poison soft anon 6 keep",
        "guest poison soft thp 77 keep",
        "guest poison soft /dev/shm/soft 3 keep",
        "guest poison soft hugetlb 9 keep",
        "guest poison hard anon 7",
        "guest poison hard anon 8 keep",
        "guest poison hard thp 99 keep",
        "guest poison hard /dev/shm/hard 4 keep",
        "guest poison hard hugetlb 11 keep",
        "corrupt_free",
        "corrupt_free back",
        "guest poison soft anon 15",
        "unpoison $(last_pfn)",
    ]


def poison_movable() -> list[str]:
    """Memory errors in the zone Movable, which has no memory but what a recipe gives it."""
    return [
        "guest poison soft anon 5",
        "guest poison hard anon 7",
        "guest poison soft thp 77",
        "guest poison hard thp 99",
        "corrupt_free",
    ]


def poison_hotplug(kernel: Kernel) -> list[str]:
    """DIMMs with poisoned pages: one unplugged, one offlined and onlined, one left offline."""
    return [
        *("load hwpoison_inject", "no_auto_online"),
        "dimm_add d1 128 online_movable",
        *poison_movable(),
        "dimm_del d1",
        "dimm_add d0 128 online_movable",
        *poison_movable(),
        "again=$(last_block)",
        "offline $again",
        "try_online $again",
        # So that what follows is in the next one.
        "[ $(cat $MEMORY/memory$again/state) = offline ] || offline $again",
        "dimm_add d2 128 online_movable",
        *poison_movable(),
        "offline $(last_block)",
        "try_online $again",
        *small_memory(kernel),
        "still",
    ]


def hugetlb_poison(_: Kernel) -> list[str]:
    """Huge pages of files with several bad pages each, anonymous ones, and free ones."""
    return [
        *("load hwpoison_inject", "hugepages 24", "hugetlbfs", "guest hugetlb 2"),
        "guest poison hard /mnt/huge/two 13 keep",
        "corrupt $(($(last_pfn) + 100))",
        "guest poison soft /mnt/huge/soft 9 keep",
        "guest poison hard hugetlb 11 keep",
        "guest poison soft hugetlb 12 keep",
        "guest poison hard hugetlb 300",
        "corrupt_huge",
        "still",
    ]


def full(kernel: Kernel) -> list[str]:
    moved = few_thps(pmem(kernel) + files(kernel) + hotplug(kernel)) + ["files_again"]
    return moved + memory(kernel, 16) + poison(kernel)


def leak(kernel: Kernel) -> list[str]:
    """Memory errors in buffers of the kernel's own, which are freed with the poison in them."""
    return [
        "load hwpoison_inject",
        "guest poison soft anon 5",
        # What next asks for so much memory gets the same block, and the allocator drops all of
        # it: 1024, 512 and 8 pages that nobody has any more.
        "guest kernel_poison 10 37 again",
        "guest kernel_poison 9 100 again",
        "guest kernel_poison 3 5 again",
        *small_memory(kernel),
        # This one lies in wait on the free lists, near the end of its block: what is asked for
        # while nothing goes on comes from the beginning.
        "guest kernel_poison 10 1010",
        "still",
    ]


def census(_: Kernel) -> list[str]:
    """What is hard on the counts of pages: every kind of mapping and holder, at rest."""
    return [
        "hugepages 24",
        "hugetlbfs",
        "loopback",
        "ext4 96",
        "zram_swap 64",
        "guest swapped 4",
        "guest pageout 8",
        "guest anon 8",
        "guest thp 32",
        "guest forks 4 8",
        "guest doubled 8",
        "guest moved",
        "guest shmem 4",
        "thp_shmem 8",
        "guest aligned /tmp/huge/aligned 10",
        "guest file /mnt/ext4/file 8",
        "guest aligned /mnt/ext4/aligned 10",
        "guest file /tmp/file 4",
        "guest hugetlb 2",
        "guest huge_shared 6",
        "guest huge_cow",
        "guest segments",
        "guest mlocked 8",
        "guest special",
        "guest rings",
        "ksm 4",
        "guest pipes 4",
        "guest splices /mnt/ext4/file",
        "guest splices /tmp/huge/aligned",
        "guest sockets /mnt/ext4/file",
        "guest sockets /tmp/huge/aligned",
        "guest uring 4",
        "guest uring_kinds",
        "guest aio 128",
        "guest userfault",
        "guest shared_mm",
        "guest held_mem",
        "guest ghost 2",
        "guest crowd 200 512 2",
        "guest churn 64 3",
        "compact",
        "sync",
        "frozen_disk /dev/loop1 16",
        "guest direct /dev/loop1",
        "rest 2",
    ]


# Sections of their own, so that no page of them is taken for one of RAM.
DAX_CMDLINE = "memmap=128M!256M memmap=128M!512M"
LEAK_CMDLINE = "memmap=128M!128M"


def dax_pins(*end: str, fsdax: str = "", devdax: str = "ram") -> Callable[[Kernel], list[str]]:
    """Pages of both kinds of device memory in pipes and rings; where their memmaps are."""
    return lambda kernel: [
        "pmem",
        *([f"namespace 0 fsdax {fsdax}"] if fsdax else []),
        *("ext4_dax /dev/pmem0", f"namespace 1 devdax {devdax}"),
        "guest dax_pins /dev/dax1.0",
        "guest dax_pins /mnt/dax/file",
        *end,
        *small_memory(kernel),
        "rest",
    ]


def soft_offline_leak(*end: str) -> Callable[[Kernel], list[str]]:
    """Pages of a dax file whose soft offlining is refused, and somebody who waits for them."""
    return lambda kernel: [
        *("pmem", "ext4_dax /dev/pmem0"),
        *(f"guest poison soft /mnt/dax/file {page}" for page in (5, 77, 300)),
        "guest poison soft anon 5",
        *small_memory(kernel),
        *end,
        "rest",
    ]


def offlined_thp(kernel: Kernel) -> list[str]:
    """THPs are moved out of a DIMM: nothing else is in the zone Movable."""
    return [
        "no_auto_online",
        # Which the kernel does not do by itself in so small a machine.
        "echo madvise >$THP/enabled",
        "dimm_add d0 128 online_movable",
        "guest thp 16",
        "dimm_del d0",
        *small_memory(kernel),
        "still",
    ]


def hotplug_again(kernel: Kernel) -> list[str]:
    """A DIMM removed, and another one in its place."""
    return [
        "no_auto_online",
        "dimm_add d0 128 online_movable",
        "guest churn 64 2",
        "dimm_del d0",
        "dimm_add d1 128 online_movable",
        *small_memory(kernel),
        *("guest churn 64 2", "still"),
    ]


def dax_poison(kernel: Kernel) -> list[str]:
    """Memory errors of device memory: of a file, of a character device, and of its altmap."""
    return [
        *("pmem", "ext4_dax /dev/pmem0", "namespace 1 devdax pmem"),
        "guest poison hard /mnt/dax/file 5 keep",
        "guest poison hard /dev/dax1.0 9 keep",
        # Where the memmap of the second lies: 256 pages behind its info block.
        "corrupt $((0x20000 + 256 + 77))",
        *small_memory(kernel),
        "still",
    ]


def stopped(where: str, then: str, *, device: bool = False) -> Callable[[Kernel], list[str]]:
    """Dumped where a function is entered: FUNCTION/WITHIN [TIMES], in the course of a piece."""
    return lambda kernel: [
        *(("pmem", "namespace 1 devdax ram") if device else ("load hwpoison_inject",)),
        *small_memory(kernel),
        "still",
        f"guest host break {where}",
        then,
    ]


# Flagged and not counted yet; on its free list still; counted, and not in its block's count.
POISON_INSTANTS = {
    "count": ("memory_failure/action_result", "guest poison hard anon 7"),
    "buddy": ("memory_failure/take_page_off_buddy", "corrupt_free"),
    "block": ("action_result/memblk_nr_poison_inc", "guest poison hard anon 7"),
    "soft": ("page_handle_poison/__put_page", "guest poison soft anon 7"),
}
