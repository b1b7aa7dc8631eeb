# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernels that the lab boots: fetched from Debian, newest first, and unpacked or built."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from . import build
from .apt import Apt, Package, unpack, version_key
from .paths import lab_dir, lock
from .run import LabError, say

# The first pattern with a complete set of packages wins; it matches the release.
KERNELS: dict[str, tuple[str, ...]] = {
    "v5.10": (r"5\.10\..*-cloud-amd64",),
    # Not the backports to older suites (-0.deb11, +deb12): other compilers, same source.
    "v6.1": (r"6\.1\.\d+-\d+-cloud-amd64",),
    "v6.12": (r"6\.12\..*\+deb13.*-cloud-amd64",),
    "v7": (r"7\.2\..*-cloud-amd64", r"7\..*-cloud-amd64"),
    # What the audit has not been written for is worth a look too.
    "newest": (r"\d+\..*-cloud-amd64",),
    # These two have MEMORY_FAILURE, which their cloud flavours lack; 800 MB of debug info each.
    "v5.10-amd64": (r"5\.10\.\d+-\d+-amd64",),
    "v6.1-amd64": (r"6\.1\.\d+-\d+-amd64",),
}

# What the guests load, in this order, with what each depends on before it.
GUEST_MODULES = (
    "qemu_fw_cfg",
    "nvme",
    "crc32c_generic",
    "ext4",
    "nd_e820",
    "nd_pmem",
    "device_dax",
    "dax_pmem",
    "dax_pmem_core",
    "kmem",
    "hwpoison-inject",
    "zram",
    "lz4",
    "lzo-rle",
    "lzo_rle",
    "lzo",
    "zstd",
    "loop",
    "virtio_pci",
    "virtio_mem",
    "virtio_balloon",
)


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel."""

    key: str
    release: str
    root: Path

    @property
    def vmlinux(self) -> Path:
        """The image with debug info."""
        return self.root / "vmlinux"

    @property
    def vmlinuz(self) -> Path:
        """What QEMU boots."""
        return self.root / "vmlinuz"

    @property
    def modules(self) -> Path:
        """The modules as insmod wants them, uncompressed, flat."""
        return self.root / "modules"

    @property
    def debug_modules(self) -> Path:
        """The debug files of the same modules, flat."""
        return self.root / "debug-modules"

    def has_config(self, option: str) -> bool:
        """Whether the kernel was built with CONFIG_<option>, as y or m."""
        text = (self.root / "config").read_text()
        return re.search(rf"^CONFIG_{option}=[ym]$", text, re.M) is not None

    def has_driver(self, option: str, module: str) -> bool:
        """Whether a driver is built in or among the guest's modules."""
        built_in = f"CONFIG_{option}=y\n" in (self.root / "config").read_text()
        return built_in or (self.modules / f"{module}.ko").exists()

    def module_order(self, name: str) -> list[str]:
        """A module and what it needs, in the order of loading (nothing where it is built in)."""
        needs: dict[str, list[str]] = json.loads((self.root / "modules.json").read_text())
        order: list[str] = []

        def add(module: str) -> None:
            if module in needs and module not in order:
                for needed in needs[module]:
                    add(needed)
                order.append(module)

        add(name.replace("-", "_"))
        return order


def _candidates(apt: Apt, pattern: str) -> Iterator[tuple[str, list[Package], Package]]:
    """(release, image and module packages, debug package), newest first."""
    by_name: dict[str, Package] = {}
    for package in apt.packages(rf"linux-(image|binary|binary-unsigned|modules|base)-{pattern}.*"):
        by_name[package.name] = package
    releases = {
        name[len("linux-image-") : -len("-dbg")]
        for name in by_name
        if name.startswith("linux-image-") and name.endswith("-dbg")
    }
    for release in sorted(
        (r for r in releases if re.fullmatch(pattern, r)), key=version_key, reverse=True
    ):
        debug = by_name[f"linux-image-{release}-dbg"]
        binary = by_name.get(f"linux-binary-unsigned-{release}") or by_name.get(
            f"linux-binary-{release}"
        )
        if binary:
            parts = [binary]
            for kind in ("modules", "base"):
                if f"linux-{kind}-{release}" in by_name:
                    parts.append(by_name[f"linux-{kind}-{release}"])
            yield release, parts, debug
            continue
        image = by_name.get(f"linux-image-{release}-unsigned") or by_name.get(
            f"linux-image-{release}"
        )
        if image:
            yield release, [image], debug


def _find(root: Path, pattern: str) -> Optional[Path]:
    return next((p for p in sorted(root.glob(pattern)) if p.is_file()), None)


def _install_modules(tree: Path, target: Path) -> dict[str, list[str]]:
    """Copy the guest's modules and what they need, flat; return what each needs."""
    files = {f.name.split(".ko")[0].replace("-", "_"): f for f in tree.rglob("*.ko*")}
    needs: dict[str, list[str]] = {}
    target.mkdir()

    def add(name: str) -> None:
        if name in needs or name not in files:
            return
        data = files[name].read_bytes()
        if files[name].suffix == ".xz":
            data = lzma.decompress(data)
        (target / f"{name}.ko").write_bytes(data)
        # .modinfo, of strings that end with 0
        found = re.search(rb"\0depends=([^\0]*)\0", data)
        listed = found.group(1).decode() if found else ""
        needs[name] = [n.replace("-", "_") for n in listed.split(",") if n]
        for needed in needs[name]:
            add(needed)

    for name in GUEST_MODULES:
        add(name.replace("-", "_"))
    return needs


def _install(key: str, release: str, image: list[Path], debug: Path, root: Path) -> None:
    """Lay an unpacked kernel out at root, completely or not at all."""
    work = root.with_name(root.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    raw = work / "raw"
    for deb in image:
        unpack(
            deb,
            raw,
            [
                "./boot/vmlinuz-*",
                "./boot/config-*",
                "*/lib/modules/*/vmlinuz*",
                "*/lib/modules/*/config",
                # Only the directories that hold GUEST_MODULES and what they need.
                "*/kernel/drivers/nvdimm/*",
                "*/kernel/drivers/dax/*",
                "*/kernel/drivers/firmware/*",
                "*/kernel/drivers/virtio/*",
                "*/kernel/drivers/char/*",
                "*/kernel/drivers/block/*",
                "*/kernel/arch/x86/*",
                "*/kernel/mm/*",
                "*/kernel/lib/*",
                "*/kernel/crypto/*",
                # Built in in the cloud flavours.
                "*/kernel/block/*",
                "*/kernel/drivers/nvme/*",
                "*/kernel/fs/ext4/*",
                "*/kernel/fs/jbd2/*",
                "*/kernel/fs/mbcache*",
            ],
        )
    vmlinuz = _find(raw, "boot/vmlinuz-*") or _find(raw, "**/lib/modules/*/vmlinuz*")
    config = _find(raw, "boot/config-*") or _find(raw, "**/lib/modules/*/config")
    if not vmlinuz or not config:
        raise LabError(f"no kernel image in the packages of {release}")
    vmlinuz.rename(work / "vmlinuz")
    config.rename(work / "config")
    needs = _install_modules(raw, work / "modules")
    (work / "modules.json").write_text(json.dumps(needs))
    globs = {name.replace("_", "[-_]") for name in needs}
    unpack(
        debug,
        raw,
        [
            f"./usr/lib/debug/boot/vmlinux-{release}",
            f"*/debug/lib/modules/{release}/vmlinux",
            *(f"*/{glob}.ko*" for glob in sorted(globs)),
        ],
    )
    vmlinux = next(
        (
            p
            for p in (
                raw / f"usr/lib/debug/boot/vmlinux-{release}",
                raw / f"usr/lib/debug/lib/modules/{release}/vmlinux",
            )
            if p.is_file() and not p.is_symlink()
        ),
        None,
    )
    if not vmlinux:
        raise LabError(f"no vmlinux in {debug.name}")
    vmlinux.rename(work / "vmlinux")
    (work / "debug-modules").mkdir()
    for file in (raw / "usr/lib/debug").rglob("*.ko*"):
        name = file.name.split(".ko")[0].replace("-", "_")
        file.rename(work / "debug-modules" / f"{name}.ko.debug")
    shutil.rmtree(raw)
    (work / "kernel.json").write_text(json.dumps({"key": key, "release": release}))
    shutil.rmtree(root, ignore_errors=True)
    work.rename(root)


def known() -> tuple[str, ...]:
    """What fetch() knows."""
    return (*KERNELS, *build.BUILT)


def fetch(key: str) -> Kernel:
    """The kernel of that key, fetched if it is not in the cache."""
    if key not in known():
        raise LabError(f"no kernel {key}: there are {', '.join(known())}")
    root = lab_dir() / "kernels" / key
    with lock(f"kernel-{key}"):
        about = root / "kernel.json"
        if not about.exists():
            if key in build.BUILT:
                build.build(key, root)
            else:
                _fetch_into(key, root)
        release = json.loads(about.read_text())["release"]
    return Kernel(key, release, root)


def _fetch_into(key: str, root: Path) -> None:
    apt = Apt()
    last: Optional[LabError] = None
    for pattern in KERNELS[key]:
        for release, image, debug in _candidates(apt, pattern):
            try:
                *images, dbg = apt.download([*image, debug])
            except LabError as error:
                # A list may be newer or older than what the mirror still holds.
                say(f"{release}: {error}")
                last = error
                continue
            say(f"unpacking {release}")
            root.parent.mkdir(parents=True, exist_ok=True)
            _install(key, release, images, dbg, root)
            for deb in (*images, dbg):
                if not os.environ.get("PAGEAUDIT_LAB_KEEP_DEBS"):
                    deb.unlink()
            return
    raise last or LabError(f"no Debian suite of this machine's archive has a kernel for {key}")
