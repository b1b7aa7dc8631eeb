# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests do before they are dumped: kernel x pieces x command line x hardware.

A piece is a line that the guest's shell runs (guest/pieces.sh, or the guest program).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from . import expected
from . import workloads as work
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


HOTPLUG = Hardware(memory_mib=1536, slots=4, max_mib=4096)
MOVABLE_CMDLINE = "movablecore=768M"


def _has_hvo(kernel: Kernel) -> bool:
    return kernel.has_config("HUGETLB_PAGE_OPTIMIZE_VMEMMAP")


def _has_memory_failure(kernel: Kernel) -> bool:
    return kernel.has_config("MEMORY_FAILURE")


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("light", "boot and a light workload on ordinary memory, 1 GiB", work.light),
        Recipe(
            "files",
            "file systems, swap to zram and ordinary memory",
            lambda kernel: work.files(kernel) + work.memory(kernel) + work.END,
            modules=("zram", "lzo_rle", "loop"),
        ),
        Recipe(
            "cgroups",
            "memory cgroups within each other and removed, LRU generations aged; two nodes, and "
            "memory of all kinds that moved from one to the other",
            lambda kernel: work.cgroups(kernel) + work.nodes(kernel) + work.END,
            hardware=Hardware(nodes=2),
        ),
        Recipe(
            "cgroups-lru",
            "the same with the kind of LRU that is not the kernel's default",
            lambda kernel: work.cgroups(kernel, "other") + work.nodes(kernel) + work.END,
            hardware=Hardware(nodes=2),
            applies=lambda kernel: kernel.has_config("LRU_GEN"),
        ),
        Recipe(
            "hotplug",
            "blocks offlined and onlined, DIMMs added and removed",
            lambda kernel: work.few_thps(work.hotplug(kernel)) + work.memory(kernel) + work.END,
            hardware=HOTPLUG,
            cmdline=MOVABLE_CMDLINE,
        ),
        Recipe(
            "hotplug-again",
            "memory removed and added again at the same address",
            lambda kernel: work.few_thps(work.hotplug_again(kernel)),
            hardware=Hardware(memory_mib=512, slots=4, max_mib=4096),
        ),
        Recipe(
            "offlined-thp",
            "a real defect: moved out of memory that goes offline, each THP is miscounted",
            work.offlined_thp,
            hardware=Hardware(memory_mib=512, slots=4, max_mib=4096),
            expected=expected.offlined_thp,
        ),
        Recipe(
            "pmem",
            "device memory that shares sections with RAM: fsdax, devdax, altmaps, one gone again",
            lambda kernel: work.pmem(kernel) + work.memory(kernel) + work.END,
            hardware=Hardware(memory_mib=1280),
            cmdline=work.PMEM_CMDLINE,
            modules=work.PMEM_MODULES,
        ),
        Recipe(
            "pmem2",
            "device memory in the other combinations, one namespace redone with another mode",
            lambda kernel: work.pmem2(kernel) + work.memory(kernel) + work.END,
            hardware=Hardware(memory_mib=1280),
            cmdline=work.PMEM_CMDLINE,
            modules=work.PMEM_MODULES,
        ),
        Recipe(
            "p2pdma",
            "a device's own memory, lent to other devices: an NVMe controller's buffer",
            lambda kernel: work.memory(kernel) + work.END,
            hardware=Hardware(devices=("nvme,serial=cmb,cmb_size_mb=64",)),
            applies=lambda kernel: kernel.has_config("PCI_P2PDMA"),
        ),
        Recipe(
            "poison",
            "soft and hard memory errors on every kind of page, handled rightly",
            lambda kernel: (
                ["hugepages 12"] + work.poison(kernel) + work.memory(kernel, 16) + work.END
            ),
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
        ),
        Recipe(
            "hvo",
            "hugetlb pages with their memmap freed, and all the rest of light",
            lambda kernel: ["hugepages 24", "guest hugetlb 6"] + work.memory(kernel)[1:] + work.END,
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
            "hugetlb-poison",
            "memory errors in hugetlb pages of files, anonymous and free ones",
            work.hugetlb_poison,
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
            expected=expected.hugetlb_poison,
        ),
        Recipe(
            "hugetlb-poison-hvo",
            "the same with their memmap freed",
            work.hugetlb_poison,
            cmdline="hugetlb_free_vmemmap=on",
            modules=("hwpoison_inject",),
            applies=lambda kernel: _has_hvo(kernel) and _has_memory_failure(kernel),
            expected=expected.hvo_free,
        ),
        Recipe(
            "poison-hotplug",
            "DIMMs with memory errors: unplugged, offlined and onlined again, left offline",
            lambda kernel: work.few_thps(work.poison_hotplug(kernel)),
            hardware=Hardware(memory_mib=640, slots=4, max_mib=4096),
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
        ),
        Recipe(
            "hwpoison-free",
            "free pages with memory errors, then THPs: 5.10 loses 512 pages round each",
            lambda kernel: [
                "corrupt_free_thp",
                "guest thp 8",
                "corrupt_free_thp",
                "guest thps 85",
                *work.small_memory(kernel),
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
            work.leak,
            hardware=Hardware(memory_mib=640),
            modules=("hwpoison_inject",),
            applies=_has_memory_failure,
            expected=expected.hwpoison_leak,
        ),
        Recipe(
            "dax-pins",
            "pages of device memory in pipes and rings, some of them mapped as well",
            work.dax_pins(
                "guest map /mnt/dax/file 8",
                "guest map /dev/dax1.0 8",
                "guest dax_pins /mnt/dax/file map",
                "guest dax_pins /dev/dax1.0 map",
            ),
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
        ),
        Recipe(
            "dax-teardown",
            "the same pages while their file system is unmounted and its device unbound",
            work.dax_pins("no_dax"),
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "devdax-teardown",
            "the same pages while the character device is unbound",
            work.dax_pins("no_devdax dax1.0"),
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "dax-poison",
            "memory errors of device memory, that with its memmap included",
            work.dax_poison,
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=(*work.PMEM_MODULES, "hwpoison_inject"),
            applies=_has_memory_failure,
            expected=expected.dax_poison,
        ),
        Recipe(
            "devdax-put-loop",
            "5.10: dumped while memunmap_pages() puts the pages of a device one by one",
            work.stopped("memunmap_pages/__put_page 100", "no_devdax dax1.0", device=True),
            hardware=Hardware(memory_mib=640),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            applies=lambda kernel: kernel.release.startswith("5.10."),
        ),
        *(
            Recipe(
                f"poison-instant-{name}",
                f"dumped in the middle of handling a memory error: in {where}",
                work.stopped(where, then),
                hardware=Hardware(memory_mib=384),
                modules=("hwpoison_inject",),
                applies=_has_memory_failure,
                expected=expected.in_flight(name),
            )
            for name, (where, then) in work.POISON_INSTANTS.items()
        ),
        Recipe(
            "dax-teardown-altmap",
            "the same with the memmap of the file system's device in itself",
            work.dax_pins("no_dax pfn0.0", fsdax="pmem"),
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "devdax-teardown-altmap",
            "the same with the memmap of the character device in itself",
            work.dax_pins("no_devdax dax1.0", devdax="pmem"),
            hardware=Hardware(memory_mib=1024),
            cmdline=work.DAX_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            expected=expected.dax_teardown,
        ),
        Recipe(
            "soft-offline-leak",
            "a real defect: pages of a dax file leaked, on which its unmounting or unbinding hangs",
            work.soft_offline_leak("no_dax"),
            hardware=Hardware(memory_mib=384),
            cmdline=work.LEAK_CMDLINE,
            modules=work.PMEM_MODULES,
            truth_devices=False,
            applies=_has_memory_failure,
            expected=expected.soft_offline_leak,
        ),
        Recipe(
            "soft-offline-leak-file",
            "the same defect: the file cannot be truncated",
            # Whose file is not mapped is not waited for by v5.10.
            work.soft_offline_leak(
                "guest map /mnt/dax/file 8", "guest stuck truncate -s 0 /mnt/dax/file"
            ),
            hardware=Hardware(memory_mib=384),
            cmdline=work.LEAK_CMDLINE,
            modules=work.PMEM_MODULES,
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
                *work.small_memory(kernel),
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
                *work.small_memory(kernel),
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
            lambda kernel: work.full(kernel) + work.END,
            hardware=Hardware(memory_mib=2048, slots=4, max_mib=4096),
            cmdline=work.PMEM_CMDLINE + " " + MOVABLE_CMDLINE,
            modules=(*work.PMEM_MODULES, "hwpoison_inject", "zram", "lzo_rle", "loop"),
        ),
        Recipe(
            "virtio-mem",
            "memory that virtio-mem added, part of it unplugged again, and a balloon",
            lambda kernel: [
                "virtio_mem 10",
                *work.memory(kernel),
                "virtio_mem_to 186",
                "balloon 700",
                *work.END,
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
            work.census,
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
                *work.END,
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
            lambda kernel: (
                ["offline_some 2", "online ${some##* }"] + work.memory(kernel) + work.END
            ),
            # From 64 GiB on, and not under a hypervisor, blocks are as large as can be;
            # RAM that ends within one, and the hole below 4 GiB, leave sections out.
            hardware=Hardware(memory_mib=65 * 1024 + 384, cpu="Haswell,-hypervisor"),
            cmdline="movablecore=24G",
            truth_pages=False,
        ),
        Recipe(
            "memmap-on-memory",
            "hot-added memory that holds its own memmap",
            lambda kernel: work.few_thps(work.hotplug(kernel)) + work.memory(kernel) + work.END,
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
