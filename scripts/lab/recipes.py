# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests do before they are dumped: kernel x pieces x command line x hardware.

A piece is a line that the guest's shell runs (guest/pieces.sh, or the guest program).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from . import expected
from .kernels import Kernel
from .qemu import Hardware
from .run import LabError


@dataclass(frozen=True)
class Recipe:
    """One way to make a dump."""

    name: str
    what: str
    pieces: Callable[[Kernel], list[str]]
    hardware: Hardware = Hardware()
    cmdline: str = ""
    modules: tuple[str, ...] = ()
    # /proc/kpageflags and kpagecount for every pfn: not for large machines.
    truth_pages: bool = True
    # Files of /proc/PID: not for too many tasks.
    truth_tasks: bool = True
    # Attributes of device memory: not while it is being torn down.
    truth_devices: bool = True
    applies: Callable[[Kernel], bool] = lambda kernel: True
    # What an audit of the dump must find.
    expected: expected.Expectation = expected.nothing
    # More files of the guest, by path.
    extra: Callable[[Kernel], dict[str, bytes]] = lambda kernel: {}


def _memory(_: Kernel, hugepages: int = 8) -> list[str]:
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


def _small_memory(_: Kernel) -> list[str]:
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


def _light(kernel: Kernel) -> list[str]:
    return _memory(kernel) + END


def _files(_: Kernel) -> list[str]:
    """A file system on a block device, and swap."""
    return ["ext4 96", "guest file /mnt/ext4/file 24", "zram_swap 96", "guest pageout 32"]


def _cgroups(_: Kernel, lru: str = "age") -> list[str]:
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


def _hotplug(_: Kernel) -> list[str]:
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


def _pmem(_: Kernel) -> list[str]:
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


def _pmem2(_: Kernel) -> list[str]:
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


def _poison(kernel: Kernel) -> list[str]:
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


def _full(kernel: Kernel) -> list[str]:
    return _pmem(kernel) + _files(kernel) + _hotplug(kernel) + _memory(kernel, 16) + _poison(kernel)


def _leak(kernel: Kernel) -> list[str]:
    """Memory errors in buffers of the kernel's own, which are freed with the poison in them."""
    return [
        "load hwpoison_inject",
        "guest poison soft anon 5",
        # What next asks for so much memory gets the same block, and the allocator drops all of
        # it: 1024, 512 and 8 pages that nobody has any more.
        "guest kernel_poison 10 37 again",
        "guest kernel_poison 9 100 again",
        "guest kernel_poison 3 5 again",
        *_small_memory(kernel),
        # This one lies in wait on the free lists.
        "guest kernel_poison 10 700",
        "still",
    ]


def _census(_: Kernel) -> list[str]:
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


def _dax_pins(*end: str) -> Callable[[Kernel], list[str]]:
    """Pages of both kinds of device memory in pipes and rings."""
    return lambda kernel: [
        *("pmem", "ext4_dax /dev/pmem0", "namespace 1 devdax ram"),
        "guest dax_pins /dev/dax1.0",
        "guest dax_pins /mnt/dax/file",
        *end,
        *_small_memory(kernel),
        "rest",
    ]


def _soft_offline_leak(*end: str) -> Callable[[Kernel], list[str]]:
    """Pages of a dax file whose soft offlining is refused, and somebody who waits for them."""
    return lambda kernel: [
        *("pmem", "ext4_dax /dev/pmem0"),
        *(f"guest poison soft /mnt/dax/file {page}" for page in (5, 77, 300)),
        "guest poison soft anon 5",
        *_small_memory(kernel),
        *end,
        "rest",
    ]


HOTPLUG = Hardware(memory_mib=1536, slots=4, max_mib=4096)
MOVABLE_CMDLINE = "movablecore=768M"


def _has_hvo(kernel: Kernel) -> bool:
    return kernel.has_config("HUGETLB_PAGE_OPTIMIZE_VMEMMAP")


def _has_memory_failure(kernel: Kernel) -> bool:
    return kernel.has_config("MEMORY_FAILURE")


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("light", "boot and a light workload on ordinary memory, 1 GiB", _light),
        Recipe(
            "files",
            "file systems, swap to zram and ordinary memory",
            lambda kernel: _files(kernel) + _memory(kernel) + END,
            modules=("zram", "lzo_rle", "loop"),
        ),
        Recipe(
            "cgroups",
            "memory cgroups within each other and removed, LRU generations aged",
            lambda kernel: _cgroups(kernel) + _memory(kernel) + END,
        ),
        Recipe(
            "cgroups-lru",
            "the same with the kind of LRU that is not the kernel's default",
            lambda kernel: _cgroups(kernel, "other") + _memory(kernel) + END,
            applies=lambda kernel: kernel.has_config("LRU_GEN"),
        ),
        Recipe(
            "hotplug",
            "blocks offlined and onlined, DIMMs added and removed",
            lambda kernel: _hotplug(kernel) + _memory(kernel) + END,
            hardware=HOTPLUG,
            cmdline=MOVABLE_CMDLINE,
        ),
        Recipe(
            "pmem",
            "device memory that shares sections with RAM: fsdax, devdax, altmaps, one gone again",
            lambda kernel: _pmem(kernel) + _memory(kernel) + END,
            hardware=Hardware(memory_mib=1280),
            cmdline=PMEM_CMDLINE,
            modules=PMEM_MODULES,
        ),
        Recipe(
            "pmem2",
            "device memory in the other combinations, one namespace redone with another mode",
            lambda kernel: _pmem2(kernel) + _memory(kernel) + END,
            hardware=Hardware(memory_mib=1280),
            cmdline=PMEM_CMDLINE,
            modules=PMEM_MODULES,
        ),
        Recipe(
            "poison",
            "soft and hard memory errors on every kind of page, handled rightly",
            lambda kernel: ["hugepages 12"] + _poison(kernel) + _memory(kernel, 16) + END,
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
        ),
        Recipe(
            "hvo",
            "hugetlb pages with their memmap freed, and all the rest of light",
            lambda kernel: ["hugepages 24", "guest hugetlb 6"] + _memory(kernel)[1:] + END,
            cmdline="hugetlb_free_vmemmap=on",
            applies=_has_hvo,
        ),
        Recipe(
            "hvo-poison",
            "memory errors in hugetlb pages with their memmap freed",
            lambda kernel: [
                "hugepages 24",
                "guest hugetlb 4",
                "guest poison soft hugetlb 9 keep",
                "guest poison hard hugetlb 11 keep",
                "guest poison hard hugetlb 300",
                "still",
            ],
            cmdline="hugetlb_free_vmemmap=on",
            applies=lambda kernel: _has_hvo(kernel) and _has_memory_failure(kernel),
            expected=expected.hvo_free,
        ),
        Recipe(
            "hwpoison-free",
            "free pages with memory errors, then THPs: 5.10 loses 512 pages round each",
            lambda kernel: [
                "corrupt_free_thp",
                "guest thp 8",
                "corrupt_free_thp",
                "guest thps 85",
                *_small_memory(kernel),
                "corrupt_free_thp",
                "still",
            ],
            hardware=Hardware(memory_mib=640),
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
            expected=expected.hwpoison_free,
        ),
        Recipe(
            "hwpoison-leak",
            "real defects: poison in free memory, and blocks lost round it",
            _leak,
            hardware=Hardware(memory_mib=640),
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
            expected=expected.hwpoison_leak,
        ),
        Recipe(
            "dax-pins",
            "pages of device memory in pipes and rings, some of them mapped as well",
            _dax_pins(
                "guest map /mnt/dax/file 8",
                "guest map /dev/dax1.0 8",
                "guest dax_pins /mnt/dax/file map",
                "guest dax_pins /dev/dax1.0 map",
            ),
            hardware=Hardware(memory_mib=1024),
            cmdline=DAX_CMDLINE,
            modules=PMEM_MODULES,
        ),
        Recipe(
            "dax-teardown",
            "the same pages while their file system is unmounted and its device unbound",
            _dax_pins("no_dax"),
            hardware=Hardware(memory_mib=1024),
            cmdline=DAX_CMDLINE,
            modules=PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "devdax-teardown",
            "the same pages while the character device is unbound",
            _dax_pins("no_devdax dax1.0"),
            hardware=Hardware(memory_mib=1024),
            cmdline=DAX_CMDLINE,
            modules=PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "soft-offline-leak",
            "a real defect: pages of a dax file leaked, on which its unmounting or unbinding hangs",
            _soft_offline_leak("no_dax"),
            hardware=Hardware(memory_mib=384),
            cmdline=LEAK_CMDLINE,
            modules=PMEM_MODULES,
            truth_devices=False,
            applies=_has_memory_failure,
            expected=expected.soft_offline_leak,
        ),
        Recipe(
            "soft-offline-leak-file",
            "the same defect: the file cannot be truncated",
            _soft_offline_leak("guest stuck truncate -s 0 /mnt/dax/file"),
            hardware=Hardware(memory_mib=384),
            cmdline=LEAK_CMDLINE,
            modules=PMEM_MODULES,
            applies=_has_memory_failure,
            expected=expected.soft_offline_leak,
        ),
        Recipe(
            "small",
            "healthy, as small as can be: some of everything, for the dump that ships",
            lambda kernel: [
                "offline_some 1",
                "pmem",
                "namespace 0 devdax pmem",
                "guest map /dev/dax0.0 4",
                *_small_memory(kernel),
                "still",
            ],
            hardware=Hardware(memory_mib=768),
            cmdline="memmap=30M!162M movablecore=448M",
            modules=("nd_e820", "nd_pmem", "device_dax", "dax_pmem"),
        ),
        Recipe(
            "owner",
            "small memory, where it is recorded who allocated each page",
            lambda kernel: [
                # Which the kernel does not do by itself in so small a machine.
                "echo madvise >$THP/enabled",
                *_small_memory(kernel),
                *("guest churn 16 2", "owners", "still"),
            ],
            hardware=Hardware(memory_mib=256),
            cmdline="page_owner=on",
            applies=lambda kernel: kernel.has_config("PAGE_OWNER"),
        ),
        Recipe(
            "hvo-free",
            "hugetlb pages with their memmap freed are given back: some kernels lose them",
            lambda kernel: ["hugepages 16", "guest hugetlb 2", "hugepages 14", "still"],
            hardware=Hardware(memory_mib=640),
            cmdline="hugetlb_free_vmemmap=on",
            applies=_has_hvo,
            expected=expected.hvo_free,
        ),
        Recipe(
            "full",
            "everything at once: files, swap, hot-plug, device memory, memory errors",
            lambda kernel: _full(kernel) + END,
            hardware=Hardware(memory_mib=2048, slots=4, max_mib=4096),
            cmdline=PMEM_CMDLINE + " " + MOVABLE_CMDLINE,
            modules=(*PMEM_MODULES, "hwpoison_inject", "zram", "lzo_rle", "loop"),
        ),
        Recipe(
            "virtio-mem",
            "memory that virtio-mem added, part of it unplugged again, and a balloon",
            lambda kernel: [
                "virtio_mem 10",
                *_memory(kernel),
                "virtio_mem_to 186",
                "balloon 700",
                *END,
            ],
            hardware=Hardware(
                memory_mib=1024,
                slots=1,
                max_mib=4096,
                devices=("virtio-balloon-pci,id=balloon",),
                virtio_mem_mib=512,
                virtio_mem_requested_mib=330,
            ),
            cmdline="memhp_default_state=online_movable",
            modules=("virtio_pci", "virtio_mem", "virtio_balloon"),
            # Modules of the old kernels, and not all of them.
            applies=lambda kernel: kernel.has_driver("VIRTIO_PCI", "virtio_pci"),
        ),
        Recipe(
            "census",
            "all that is hard on the counts of pages: mappings and holders of every kind",
            _census,
            modules=("zram", "lzo_rle", "loop"),
        ),
        Recipe(
            "large",
            "32 GiB, sparse: for measuring",
            lambda kernel: [
                "hugepages 64",
                "guest anon 64",
                "guest thp 256",
                "guest forks 8 32",
                "guest shmem 64",
                "thp_shmem 32",
                "guest file /tmp/file 64",
                "guest hugetlb 8",
                "guest pipes 8",
                "guest uring 16",
                *END,
            ],
            hardware=Hardware(memory_mib=32 * 1024),
            truth_pages=False,
        ),
        Recipe(
            "tasks",
            "2000 tasks with 100 MB mapped each: for measuring walks of page tables",
            lambda kernel: ["guest crowd 2000 102400 0", "still"],
            hardware=Hardware(memory_mib=8 * 1024),
            truth_pages=False,
            truth_tasks=False,
        ),
        Recipe(
            "gigantic",
            "a huge page of 1 GiB, its memmap freed where the kernel can",
            lambda kernel: ["guest anon 16", "guest thp 32", "still"],
            hardware=Hardware(memory_mib=4096, cpu="Haswell,+pdpe1gb"),
            cmdline="hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=4 hugetlb_free_vmemmap=on",
            truth_pages=False,
        ),
        Recipe(
            "blocks",
            "memory blocks of many sections, some of them absent, some offline",
            lambda kernel: ["offline_some 2", "online ${some##* }"] + _memory(kernel) + END,
            # From 64 GiB on, and not under a hypervisor, blocks are as large as can be;
            # RAM that ends within one, and the hole below 4 GiB, leave sections out.
            hardware=Hardware(memory_mib=65 * 1024 + 384, cpu="Haswell,-hypervisor"),
            cmdline="movablecore=24G",
            truth_pages=False,
        ),
        Recipe(
            "memmap-on-memory",
            "hot-added memory that holds its own memmap",
            lambda kernel: _hotplug(kernel) + _memory(kernel) + END,
            hardware=HOTPLUG,
            cmdline=MOVABLE_CMDLINE + " memory_hotplug.memmap_on_memory=1",
            applies=lambda kernel: kernel.has_config("MHP_MEMMAP_ON_MEMORY"),
        ),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of that name."""
    if name not in RECIPES:
        raise LabError(f"no recipe {name}: there are {', '.join(RECIPES)}")
    return RECIPES[name]
