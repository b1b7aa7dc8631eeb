# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opens what is to be audited: files by their paths, or a drgn Program.

A Program is used by one thread and zero-fills what a filter left out of an ELF
vmcore, so its file is opened once more by our own source where it is proven to
be the same dump; else memory is read through the Program.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence, Tuple

from drgn_contrib._pageaudit import Kernel, Layout, Source, TargetError

if TYPE_CHECKING:
    import drgn

#: The running kernel's memory.
KCORE = "/proc/kcore"

#: ELF e_machine of the architectures that drgn and we both know.
_EM_X86_64 = 62

#: __START_KERNEL_map, and so much of init_uts_ns as has the names of the kernel.
_START_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
_UTS_BYTES = 400

#: In a Program's cache: the files that it was said to be of.
_PATHS = "pageaudit_paths"
#: And there: its OpenedTarget, behind what it was opened with.
_OPENED = "pageaudit_opened"

#: Where distributions and kernel builds put a vmlinux with debug info.
_VMLINUX_PLACES = (
    "/usr/lib/debug/boot/vmlinux-{0}",
    "/usr/lib/debug/lib/modules/{0}/vmlinux",
    "/lib/modules/{0}/build/vmlinux",
    "/boot/vmlinux-{0}",
)


@dataclass(frozen=True)
class OpenedTarget:
    """A kernel ready to be audited."""

    #: For people: the file, or what the Program is.
    path: str
    source: Source
    layout: Layout
    kernel: Kernel
    #: None if it was opened without drgn.
    prog: Optional[drgn.Program]
    #: Its files, and those of debug info that were given.
    files: Tuple[str, ...] = ()
    symbols: Tuple[str, ...] = ()
    #: As it was asked for: 0 for one a processor, and of a running kernel one less.
    threads: int = 0


def vmcoreinfo_value(vmcoreinfo: Optional[bytes], key: str) -> Optional[str]:
    """The value of one of VMCOREINFO's lines, or None."""
    prefix = key.encode() + b"="
    for line in (vmcoreinfo or b"").split(b"\n"):
        if line.startswith(prefix):
            return line[len(prefix) :].decode(errors="replace")
    return None


def cache_dir() -> Path:
    """Where layouts are cached: of the user, by the XDG rules."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pageaudit"


def open_target(
    paths: Sequence[str], symbols: Sequence[str] = (), *, threads: int = 0
) -> OpenedTarget:
    """Open a vmcore, or the running kernel.

    :param paths: The dump's file, or all files of a split one; KCORE.
    :param symbols: The kernel's vmlinux with debug info, then debug files of
        modules. Without any, the dump's own BTF, or what drgn finds.
    :param threads: 0 for one a processor, and of a running kernel one less.
    :raises TargetError: It can't be analysed; the message says why.
    """
    source = Source.open(list(paths))
    layout = _find_layout(source, list(symbols), _ProgramFinder(paths))
    kernel = Kernel(source, layout, threads=threads)
    return OpenedTarget(
        ", ".join(paths), source, layout, kernel, None, tuple(paths), tuple(symbols), threads
    )


def open_program(
    prog: drgn.Program, paths: Sequence[str] = (), *, threads: int = 0
) -> OpenedTarget:
    """Open the target of a drgn Program.

    :param paths: The dump's files, for a drgn that does not tell.
    :raises TargetError: It can't be analysed; the message says why.
    """
    import drgn

    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise TargetError("the Program is no Linux kernel")
    # Helpers take a Program alone: what an old drgn does not tell is told once.
    paths = paths or prog.cache.get(_PATHS, ())
    source = _program_source(prog, paths)
    layout = _find_layout(source, [], _LoadedFinder(prog))
    kernel = Kernel(source, layout, threads=threads)
    if paths:
        prog.cache[_PATHS] = tuple(paths)
    path = _core_path(prog, paths)
    return OpenedTarget(path or "drgn Program", source, layout, kernel, prog, threads=threads)


def opened_program(prog: drgn.Program) -> OpenedTarget:
    """The target of a drgn Program; that of a dump is opened once, and kept with it.

    :raises TargetError: It can't be analysed; the message says why.
    """
    # Files of debug info may be loaded later.
    made_of = (prog.cache.get(_PATHS), _LoadedFinder(prog).find())
    kept = prog.cache.get(_OPENED)
    if kept and kept[0] == made_of:
        opened: OpenedTarget = kept[1]
        return opened
    opened = open_program(prog)
    # What opening a running kernel reads of it is another a moment later.
    if not opened.source.info["live"]:
        prog.cache[_OPENED] = (made_of, opened)
    return opened


def _core_path(prog: drgn.Program, paths: Sequence[str]) -> Optional[str]:
    if paths:
        return ", ".join(paths)
    # Not in drgn 0.0.31 and before.
    return getattr(prog, "core_dump_path", None)


def _program_source(prog: drgn.Program, paths: Sequence[str]) -> Source:
    import drgn

    live = bool(prog.flags & drgn.ProgramFlags.IS_LIVE)
    vmcoreinfo = _program_vmcoreinfo(prog)
    if not live:
        path = _core_path(prog, paths)
        if path is None and not hasattr(prog, "core_dump_path"):
            raise TargetError(
                "this release of drgn does not tell which file the Program is "
                "of: pass the dump's files as paths"
            )
        if path is not None:
            source = Source.open(list(paths) or [path])
            ours = source.info["vmcoreinfo"]
            if _same_note(ours, vmcoreinfo) or (
                vmcoreinfo is None and paths and _same_boot(prog, source)
            ):
                return source
            if paths:
                raise TargetError(f"{path} is not the dump of this Program")

    elif _same_note(_kcore_note(), vmcoreinfo):
        # Few large reads of our own, on all threads, are far cheaper.
        return Source.open([KCORE])

    def read(phys: int, length: int) -> Optional[bytes]:
        try:
            return bytes(prog.read(phys, length, physical=True))
        except drgn.FaultError:
            return None

    machine = 0
    if prog.platform and prog.platform.arch == drgn.Architecture.X86_64:
        machine = _EM_X86_64
    return Source.from_callback(read, vmcoreinfo, live, machine)


def _kcore_note() -> Optional[bytes]:
    """VMCOREINFO of the kernel that we run on, if we may read it."""
    try:
        note: Optional[bytes] = Source.open([KCORE]).info["vmcoreinfo"]
    except (OSError, TargetError):
        return None
    return note


def _program_vmcoreinfo(prog: drgn.Program) -> Optional[bytes]:
    import drgn

    try:
        return bytes(prog["VMCOREINFO"].string_())
    except KeyError:
        pass
    # Old releases of drgn keep the note to themselves; the kernel has it too.
    try:
        size = prog["vmcoreinfo_size"].value_()
        return bytes(prog.read(prog["vmcoreinfo_data"].value_(), size))
    except (KeyError, drgn.FaultError):
        return None


def _same_note(ours: Optional[bytes], theirs: Optional[bytes]) -> bool:
    return ours is not None and theirs is not None and ours.rstrip(b"\0") == theirs.rstrip(b"\0")


def _same_boot(prog: drgn.Program, source: Source) -> bool:
    """Whether the file's kernel lies in the Program's memory where it does in the file.

    That place is random (KASLR), and what is there says release and build; a Program
    has no symbols without debug info, but memory it always has.
    """
    import drgn

    note = source.info["vmcoreinfo"]
    release, place, base = (
        vmcoreinfo_value(note, key)
        for key in ("OSRELEASE", "SYMBOL(init_uts_ns)", "NUMBER(phys_base)")
    )
    if release is None or place is None or base is None:
        return False
    phys = int(place, 16) - _START_KERNEL_MAP + int(base)
    try:
        theirs = prog.read(phys, _UTS_BYTES, physical=True)
        ours = source.read(phys, _UTS_BYTES)
    except (drgn.FaultError, TargetError):
        return False
    return theirs == ours and release.encode() in ours


class _LoadedFinder:
    """The debug info that a Program has loaded."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog: Optional[drgn.Program] = prog

    def find(self) -> Tuple[Optional[str], Sequence[str]]:
        """Path of the vmlinux with debug info, if any, and of modules' files."""
        if self._prog is None or not hasattr(self._prog, "main_module"):
            return None, []
        try:
            main = self._prog.main_module()
        except LookupError:
            return None, []
        if main.debug_file_path is None:
            return None, []
        return main.debug_file_path, [
            module.debug_file_path
            for module in self._prog.modules()
            if module != main and module.debug_file_path is not None
        ]


class _ProgramFinder(_LoadedFinder):
    """What drgn's finders (debuginfod too) find for a dump."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._path = paths[0]
        self._prog = None

    def find(self) -> Tuple[Optional[str], Sequence[str]]:
        import drgn

        prog = drgn.Program()
        try:
            prog.set_core_dump(self._path)
            # Since drgn 0.0.31; its modules without debug info are no error.
            if hasattr(prog, "load_module_debug_info"):
                for module, _ in prog.loaded_modules():
                    prog.load_module_debug_info(module)
                    break
        except Exception:  # noqa: BLE001
            # drgn can't open this dump (part of a split set), or finds nothing
            # for it; some of its errors have no class but Exception itself.
            return None, []
        self._prog = prog
        return super().find()


def _find_layout(source: Source, symbols: "list[str]", finder: _LoadedFinder) -> Layout:
    """The layout from files given, the dump's own BTF, or files found."""
    if symbols:
        return Layout.from_dwarf(source, symbols, cache_dir=str(cache_dir()))
    try:
        return Layout.from_btf(source)
    except TargetError as error:
        if error.code != "missing":
            raise
        why = str(error)

    release = vmcoreinfo_value(source.info["vmcoreinfo"], "OSRELEASE")
    vmlinux, modules = finder.find()
    if vmlinux is None and release is not None:
        places = [place.format(release) for place in _VMLINUX_PLACES]
        vmlinux = next(filter(os.path.exists, places), None)
    if vmlinux is not None:
        return Layout.from_dwarf(source, [vmlinux, *modules], cache_dir=str(cache_dir()))
    raise TargetError(
        f"no type information for kernel {release or 'of unknown release'}: "
        f"{why}, and no vmlinux with debug info was found; give one with -s "
        f"(Debian: package linux-image-{release or 'RELEASE'}-dbg; Fedora: kernel-debuginfo)"
    )
