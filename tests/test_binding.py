# SPDX-License-Identifier: LGPL-2.1-or-later
"""The binding's own part: types, exceptions, the GIL, leaks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from typing import Optional

import pytest
from files import EM_X86_64, PHYS, elf

from drgn_contrib._pageaudit import Source, TargetError, versions

MEMORY = bytes(range(256)) * 16


@pytest.fixture
def vmcore(tmp_path: Path) -> Path:
    path = tmp_path / "vmcore"
    path.write_bytes(elf(memory=MEMORY))
    return path


def test_versions() -> None:
    assert set(versions()) == {"libkdumpfile", "libdw"}


def test_source_reads(vmcore: Path) -> None:
    source = Source.open([vmcore])
    assert source.read(PHYS + 1, 4) == MEMORY[1:5]
    assert source.read(PHYS, 0) == b""
    with pytest.raises(TargetError) as caught:
        source.read(PHYS + 4000, 200)
    assert (caught.value.code, caught.value.address) == ("unreadable", PHYS + 4096)


def test_source_info(vmcore: Path) -> None:
    info = Source.open([str(vmcore)]).info
    assert info["format"] == "elf"
    assert info["vmcoreinfo"].startswith(b"OSRELEASE=6.1.0-test\n")
    assert info["ranges"] == [(PHYS, PHYS + 4096)]
    assert (info["live"], info["complete"], info["dump_level"]) == (False, True, None)
    assert info["machine"] == EM_X86_64


def test_source_is_made_by_its_class_methods() -> None:
    with pytest.raises(TypeError):
        Source()
    with pytest.raises(TypeError):
        type("Subclass", (Source,), {})


@pytest.mark.parametrize("paths", [3, [3], [None], ["a\0b"], [["vmcore"]]])
def test_paths_that_are_none(paths: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Source.open(paths)  # type: ignore[arg-type]


def test_no_paths() -> None:
    with pytest.raises((ValueError, TargetError)):
        Source.open([])


def test_a_path_of_any_bytes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with pytest.raises(TargetError) as caught:
        Source.open([os.fsdecode(path)])
    assert os.fsdecode(path) in str(caught.value)


def test_callback_is_asked_for_memory() -> None:
    asked = []

    def read(phys: int, length: int) -> Optional[bytes]:
        asked.append((phys, length))
        return b"\x5a" * length if phys < 0x10000 else None

    source = Source.from_callback(read, b"OSRELEASE=x\n", live=True, machine=EM_X86_64)
    assert source.read(0x2000, 16) == b"\x5a" * 16
    assert asked
    assert source.info["format"] == "callback"
    assert source.info["live"] is True
    assert source.info["vmcoreinfo"] == b"OSRELEASE=x\n"
    with pytest.raises(TargetError) as caught:
        source.read(0x10000, 16)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    "result",
    [b"", b"short", b"long" * 5000, "text", 3],
    ids=["empty", "short", "long", "text", "number"],
)
def test_callback_that_returns_nonsense(result: object) -> None:
    source = Source.from_callback(lambda phys, length: result, None, False, EM_X86_64)  # type: ignore[arg-type,return-value]
    with pytest.raises(TargetError):
        source.read(0, 16)


def test_callback_that_raises() -> None:
    def read(phys: int, length: int) -> bytes:
        raise RuntimeError("the cable is out")

    source = Source.from_callback(read, None, False, EM_X86_64)
    with pytest.raises(TargetError, match="the cable is out"):
        source.read(0, 16)


def test_callback_from_many_threads() -> None:
    inside = 0
    most = 0

    def read(phys: int, length: int) -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.001)
        inside -= 1
        return bytes([phys >> 12 & 0xFF]) * length

    source = Source.from_callback(read, None, False, EM_X86_64)
    failures: "list[int]" = []

    def work(page: int) -> None:
        for _ in range(20):
            if source.read(page << 12, 8) != bytes([page]) * 8:
                failures.append(page)

    threads = [threading.Thread(target=work, args=(page,)) for page in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most == 1


def test_cycle_through_a_callback_is_collected() -> None:
    class Holder:
        source: Source

        def read(self, phys: int, length: int) -> Optional[bytes]:
            return None

    holder = Holder()
    holder.source = Source.from_callback(holder.read, None, False, EM_X86_64)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


def run_python(code: str, *arguments: "str | Path") -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_leaks(vmcore: Path) -> None:
    run_python(
        """
        import gc, os, sys
        from drgn_contrib._pageaudit import Source, TargetError

        def once():
            source = Source.open([sys.argv[1]])
            source.info, source.read(0x1000, 4096)
            Source.from_callback(lambda phys, n: bytes(n), b"A=1", False, 62).read(0, 4096)
            for bad in [sys.argv[1] + "-none"], [os.devnull]:
                try:
                    Source.open(bad)
                except TargetError:
                    pass
            try:
                source.read(1 << 60, 1 << 16)
            except TargetError:
                pass

        def resident():
            # statm leaves out what CPUs have yet to add up.
            with open("/proc/self/smaps_rollup") as rollup:
                (line,) = (line for line in rollup if line.startswith("Rss:"))
            return int(line.split()[1]) << 10

        for _ in range(300):
            once()
        gc.collect()
        memory, files = resident(), len(os.listdir("/proc/self/fd"))
        for _ in range(2000):
            once()
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == files
        grown = resident() - memory
        # 2000 rounds that lost even one small object each would grow more.
        assert grown < 64 << 10 or "libasan" in os.environ.get("LD_PRELOAD", ""), grown
        """,
        vmcore,
    )


def test_module_may_be_loaded_twice() -> None:
    run_python(
        """
        import importlib.util, sys
        from drgn_contrib import _pageaudit
        spec = importlib.util.spec_from_file_location("_pageaudit", _pageaudit.__file__)
        other = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(other)
        assert other.TargetError is not _pageaudit.TargetError
        try:
            other.Source.open(["/nonexistent"])
        except _pageaudit.TargetError:
            raise SystemExit("the state of one module is the other's")
        except other.TargetError:
            pass
        """
    )
