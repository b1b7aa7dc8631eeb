# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels that Debian has only as source: configured and built here, each once."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .apt import Apt, Package, unpack, version_key
from .run import LabError, run, say, tool


@dataclass(frozen=True)
class Edit:
    """A change to the source: what must be there, once, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Built:
    """A kernel to build: a source package, and what of its configuration."""

    # Debian's package linux-source-<version>, and what follows the release.
    version: str
    suffix: str
    options: tuple[str, ...]
    # Bugs brought back.
    edits: tuple[Edit, ...] = ()


# On top of tinyconfig: what the lab's guests need to run, be dumped and be read without
# debug info, and nothing that would take long to build. With fewer than four CPUs page tables
# would share one lock, and hugetlb no page tables.
_BASE = (
    *("64BIT", "SMP", "NR_CPUS=4", "NUMA", "ACPI", "ACPI_NUMA", "X86_64_ACPI_NUMA"),
    *("PCI", "PCI_MSI"),
    *("PRINTK", "PRINTK_TIME", "BUG", "MULTIUSER", "FUTEX", "EPOLL", "SIGNALFD", "EVENTFD"),
    *("TIMERFD", "POSIX_TIMERS", "HIGH_RES_TIMERS", "AIO", "IO_URING", "ADVISE_SYSCALLS"),
    *("MEMBARRIER", "SYSVIPC", "MODULES", "BINFMT_ELF", "BINFMT_SCRIPT"),
    *("BLOCK", "BLK_DEV_INITRD", "RD_GZIP", "BLK_DEV_NVME", "TTY"),
    *("SERIAL_8250", "SERIAL_8250_CONSOLE", "SERIAL_8250_PNP", "SERIAL_8250_PCI"),
    *("PROC_FS", "PROC_SYSCTL", "PROC_PAGE_MONITOR", "PROC_KCORE", "SYSFS", "TMPFS"),
    *("DEVTMPFS", "DEBUG_FS", "SHMEM", "HUGETLBFS", "SWAP", "KSM"),
    *("SPARSEMEM_VMEMMAP", "MEMORY_HOTPLUG", "MEMORY_HOTREMOVE", "MIGRATION", "COMPACTION"),
    *("TRANSPARENT_HUGEPAGE", "TRANSPARENT_HUGEPAGE_MADVISE", "SLUB", "VM_EVENT_COUNTERS"),
    # The dump: VMCOREINFO, and where it is.
    *("KEXEC", "CRASH_DUMP", "PROC_VMCORE", "FW_CFG_SYSFS"),
    *("RELOCATABLE", "RANDOMIZE_BASE", "RANDOMIZE_MEMORY"),
    *("KALLSYMS", "KALLSYMS_ALL", "DEBUG_KERNEL", "DEBUG_INFO", "DEBUG_INFO_DWARF4"),
    *("BPF_SYSCALL", "DEBUG_INFO_BTF", "STACKTRACE", "UNWINDER_ORC"),
    "CC_OPTIMIZE_FOR_PERFORMANCE",
)
_OWNER = (*_BASE, "PAGE_EXTENSION", "PAGE_OWNER")
_DAX = (
    *(*_BASE, "X86_MCE", "MEMORY_FAILURE", "HWPOISON_INJECT"),
    *("ZONE_DEVICE", "EXT4_FS", "FS_DAX"),
    *("X86_PMEM_LEGACY", "LIBNVDIMM", "BLK_DEV_PMEM", "NVDIMM_PFN", "NVDIMM_DAX"),
    *("DAX", "DEV_DAX", "DEV_DAX_PMEM"),
)


def _leak(put: str) -> Edit:
    """soft_offline_page() keeps the reference that madvise() took of a page that isn't RAM."""
    refused = f"\tif (!page) {{\n\t\t{put}\n\t\treturn -EIO;\n"
    kept = "\tif (!page) {\n\t\treturn -EIO;\n"
    return Edit("mm/memory-failure.c", refused, kept)


BUILT: dict[str, Built] = {
    # No Debian kernel has PAGE_OWNER.
    "v5.10-owner": Built("5.10", "-owner", _OWNER),
    "v6.12-owner": Built("6.12", "-owner", _OWNER),
    # The bug that these lose again was in 5.10's first releases; 7.2 never had it.
    "v5.10-leak": Built("5.10", "-leak", _DAX, (_leak("put_ref_page(ref_page);"),)),
    "v7-leak": Built("7.2", "-leak", _DAX, (_leak("put_ref_page(pfn, flags);"),)),
}

# Commands that the kernel's makefiles run, and Debian's packages with them.
_TOOLS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "perl": "perl",
    "pahole": "dwarves",
    "xz": "xz-utils",
}


def _source(version: str) -> Package:
    name = f"linux-source-{version}"
    found = list(Apt().packages(name))
    if not found:
        raise LabError(f"no Debian suite has the package {name}")
    return max(found, key=lambda package: version_key(package.version))


def _edit(tree: Path, edit: Edit) -> None:
    file = tree / edit.file
    text = file.read_text()
    if text.count(edit.old) != 1:
        raise LabError(f"{edit.file} of {tree.name} is not as this edit of it expects")
    file.write_text(text.replace(edit.old, edit.new))


def _configure(tree: Path, built: Built) -> None:
    run(["make", "-s", "-C", str(tree), "tinyconfig"])
    config = tree / ".config"
    with open(config, "a") as file:
        for option in built.options:
            file.write(f"CONFIG_{option}\n" if "=" in option else f"CONFIG_{option}=y\n")
        file.write(f'CONFIG_LOCALVERSION="{built.suffix}"\n')
    run(["make", "-s", "-C", str(tree), "olddefconfig"])
    # An option that this release does not have, or that lacks what it depends on, is left
    # out without a word. What there must be is asked for by who needs it.
    text = config.read_text()
    if "CONFIG_DEBUG_INFO_BTF=y\n" not in text:
        raise LabError(f"{tree.name} would be built without BTF: is pahole too old?")


def build(key: str, root: Path) -> None:
    """Build a kernel and lay it out at root, completely or not at all."""
    built = BUILT[key]
    for command, needed in _TOOLS.items():
        tool(command, needed)
    if not Path("/usr/include/libelf.h").exists():
        raise LabError("libelf.h is missing: apt-get install libelf-dev")
    package = _source(built.version)
    (deb,) = Apt().download([package])
    work = root.with_name(root.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    unpack(deb, work / "deb")
    tarball = next((work / "deb").glob("usr/src/linux-source-*.tar.xz"), None)
    if not tarball:
        raise LabError(f"no source in {deb.name}")
    say(f"building {key} of {package.version}: some minutes")
    run(["tar", "-C", str(work), "-xf", str(tarball)])
    (tree,) = work.glob("linux-source-*")
    for edit in built.edits:
        _edit(tree, edit)
    _configure(tree, built)
    jobs = str(os.cpu_count() or 1)
    run(["nice", "-n", "19", "make", "-s", "-C", str(tree), "-j", jobs, "bzImage", "vmlinux"])
    release = run(["make", "-s", "-C", str(tree), "kernelrelease"]).strip()
    (tree / "arch/x86/boot/bzImage").rename(work / "vmlinuz")
    (tree / "vmlinux").rename(work / "vmlinux")
    (tree / ".config").rename(work / "config")
    # All is built in.
    for name in ("modules", "debug-modules"):
        (work / name).mkdir()
    (work / "modules.json").write_text("{}")
    shutil.rmtree(tree)
    shutil.rmtree(work / "deb")
    (work / "kernel.json").write_text(json.dumps({"key": key, "release": release}))
    shutil.rmtree(root, ignore_errors=True)
    work.rename(root)
    if not os.environ.get("PAGEAUDIT_LAB_KEEP_DEBS"):
        deb.unlink()
