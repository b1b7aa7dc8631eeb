# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's root: busybox, our one program, modules and the recipe, as a newc archive."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Iterable, Mapping

from .kernels import Kernel
from .paths import lock, made_dir
from .run import LabError, run, tool

# What every guest loads first; what is built in has nothing to load.
ALWAYS = ("qemu_fw_cfg", "nvme", "crc32c_generic", "ext4")

GUEST_DIR = Path(__file__).resolve().parent / "guest"


class Archive:
    """A newc cpio archive in memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0
        self._dirs: set[str] = set()

    def _add(self, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(raw), 0)
        self._data += b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        self._pad()
        self._data += content
        self._pad()

    def _pad(self) -> None:
        self._data += bytes(-len(self._data) % 4)

    def add_dir(self, name: str) -> None:
        """Add a directory and those above it, each once."""
        if not name or name in self._dirs:
            return
        self.add_dir(name.rpartition("/")[0])
        self._dirs.add(name)
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def add_file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self.add_dir(name.rpartition("/")[0])
        self._add(name, stat.S_IFREG | mode, content)

    def add_device(self, name: str, major: int, minor: int) -> None:
        """Add a character device."""
        self.add_dir(name.rpartition("/")[0])
        self._add(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def finish(self) -> bytes:
        """The archive with its trailer."""
        self._add("TRAILER!!!", 0, b"")
        return bytes(self._data)


def guest_program() -> Path:
    """The static program of the guests, built when its source changed."""
    sources = sorted(GUEST_DIR.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    path = made_dir("guest") / f"guest-{digest}"
    with lock("guest"):
        if not path.exists():
            new = path.with_suffix(f".{os.getpid()}")
            argv = [tool("gcc", "gcc"), "-std=gnu11", "-Os", "-s", "-static", "-Wall", "-Wextra"]
            # Paths that are cut off only make a file that is not found.
            argv += ["-Wno-format-truncation", "-o", str(new)]
            run([*argv, *(str(p) for p in sources if p.suffix == ".c")])
            new.rename(path)
    return path


def _busybox() -> bytes:
    path = Path(tool("busybox", "busybox-static"))
    data = path.read_bytes()
    # A static program has no interpreter to be found in the guest.
    if b"/lib64/ld-linux-x86-64.so.2\0" in data:
        raise LabError("busybox is not a static one: apt-get install busybox-static")
    return data


def build(
    kernel: Kernel, recipe: str, truth: str, modules: Iterable[str], extra: Mapping[str, bytes]
) -> bytes:
    """The archive for one boot: RECIPE is run line by line, TRUTH at the end."""
    archive = Archive()
    archive.add_device("dev/console", 5, 1)
    archive.add_device("dev/null", 1, 3)
    archive.add_device("dev/kmsg", 1, 11)
    archive.add_file("bin/busybox", _busybox(), 0o755)
    archive.add_file("bin/guest", guest_program().read_bytes(), 0o755)
    archive.add_file("init", (GUEST_DIR / "init.sh").read_bytes(), 0o755)
    archive.add_file("pieces.sh", (GUEST_DIR / "pieces.sh").read_bytes())
    archive.add_file("recipe", recipe.encode())
    archive.add_file("truth.sh", truth.encode())
    copied: set[str] = set()
    for name in (*ALWAYS, *modules):
        order = kernel.module_order(name)
        archive.add_file(f"modules/{name}.order", "".join(f"{n}\n" for n in order).encode())
        for needed in order:
            if needed not in copied:
                copied.add(needed)
                content = (kernel.modules / f"{needed}.ko").read_bytes()
                archive.add_file(f"modules/{needed}.ko", content)
    for path, content in extra.items():
        archive.add_file(path, content, 0o755)
    return archive.finish()
