# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layouts of real kernels: DWARF, BTF and drgn must say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

import layouts
import pytest
from lab import make

from drgn_contrib._pageaudit import Layout, Source, TargetError
from drgn_contrib.target import vmcoreinfo_value


@pytest.fixture(scope="module")
def dwarf(kernel: str) -> Layout:
    return Layout.from_dwarf(None, [make.dump(kernel, "light").vmlinux])


def section(path: Path, name: str) -> bytes:
    """A section's bytes of a 64-bit ELF file."""
    data = path.read_bytes()
    number = int.from_bytes
    headers = number(data[40:48], "little")
    nr_headers = number(data[60:62], "little")
    strings = number(data[62:64], "little")

    def extent(index: int) -> "tuple[int, int, int]":
        header = data[headers + 64 * index : headers + 64 * (index + 1)]
        return (
            number(header[0:4], "little"),
            number(header[24:32], "little"),
            number(header[32:40], "little"),
        )

    names = extent(strings)[1]
    for index in range(nr_headers):
        name_at, start, size = extent(index)
        at = names + name_at
        if data[at : data.index(b"\0", at)] == name.encode():
            return data[start : start + size]
    raise LookupError(f"{path} has no section {name}")


def test_dwarf_is_what_drgn_says(kernel: str, dwarf: Layout) -> None:
    ours = layouts.entries(dwarf)
    prog = layouts.program([make.dump(kernel, "light").vmlinux])
    assert layouts.differences(ours, layouts.oracle(prog, ours)) == []


def test_btf_is_what_dwarf_says(kernel: str, dwarf: Layout) -> None:
    """The types alone; also of kernels that don't tell where kallsyms is."""
    btf = Layout.from_btf_data(section(make.dump(kernel, "light").vmlinux, ".BTF"))
    ours = layouts.entries(btf)
    theirs = layouts.entries(dwarf)
    for key in ours:
        if key[0] == "symbol":
            ours[key] = theirs[key]
    assert layouts.differences(ours, theirs) == []


def but_for_kallsyms(layout: Layout) -> layouts.Entries:
    """v6.1's kallsyms does not list its own tables; VMCOREINFO has them."""
    return {
        key: entry
        for key, entry in layouts.entries(layout).items()
        if not key[1].startswith("kallsyms_")
    }


def test_target_is_what_dwarf_says(kernel: str, tmp_path: Path) -> None:
    """BTF and kallsyms in the dump, with KASLR; where v5.10's is, its form shows."""
    dump = make.dump(kernel, "light")
    source = Source.open([dump.vmcore])
    dwarf = Layout.from_dwarf(source, [dump.vmlinux], cache_dir=tmp_path)
    assert dwarf.types_from == "dwarf"
    btf = Layout.from_btf(source)
    assert btf.types_from == "btf"
    assert layouts.differences(but_for_kallsyms(btf), but_for_kallsyms(dwarf)) == []
    address = layouts.entries(btf)["symbol", "init_task"]["address"]
    found = btf.symbol_at(address + 8)
    assert found is not None
    assert found[:2] == ("init_task", 8)
    # By the vmlinux it is elsewhere.
    assert (
        address
        != layouts.entries(Layout.from_dwarf(None, [dump.vmlinux]))["symbol", "init_task"][
            "address"
        ]
        + 8
    )


def test_types_of_modules(kernel: str, dwarf: Layout) -> None:
    dump = make.dump(kernel, "light")
    modules = Path(dump.meta["debug_modules"])
    files = [dump.vmlinux, modules / "nd_pmem.ko.debug"]
    ours = layouts.entries(Layout.from_dwarf(None, files))
    assert not layouts.entries(dwarf)["type", "struct pmem_device"]["known"]
    assert ours["type", "struct pmem_device"]["known"]
    assert layouts.differences(ours, layouts.oracle(layouts.program(files), ours)) == []
    try:
        split = section(files[1], ".BTF")
    except LookupError:
        return
    btf = layouts.entries(Layout.from_btf_data(section(dump.vmlinux, ".BTF"), split))
    for key in [("type", "struct pmem_device"), ("member", "pmem_device.pgmap")]:
        assert btf[key] == ours[key]


def test_cache(kernel: str, tmp_path: Path) -> None:
    dump = make.dump(kernel, "light")
    source = Source.open([dump.vmcore])
    directory = tmp_path / "cache"
    first = Layout.from_dwarf(source, [dump.vmlinux], cache_dir=directory)
    (file,) = directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    second = Layout.from_dwarf(source, [dump.vmlinux], cache_dir=directory)
    assert second.entries() == first.entries()
    # KASLR is not in it.
    third = Layout.from_dwarf(None, [dump.vmlinux], cache_dir=directory)
    assert third.entries() == Layout.from_dwarf(None, [dump.vmlinux]).entries()
    # Which may move a kernel by nothing.
    moved = vmcoreinfo_value(source.info["vmcoreinfo"], "KERNELOFFSET")
    assert (third.entries() != first.entries()) == bool(int(moved or "0", 16))
    # With a module it is another.
    module = Path(dump.meta["debug_modules"]) / "nd_pmem.ko.debug"
    Layout.from_dwarf(source, [dump.vmlinux, module], cache_dir=directory)
    assert len(list(directory.iterdir())) == 2

    file.write_bytes(file.read_bytes()[:-8] + b"\0" * 8)
    assert Layout.from_dwarf(source, [dump.vmlinux], cache_dir=directory).entries() == (
        first.entries()
    )
    # A directory that can't be: no cache, and no error.
    nowhere = tmp_path / "file"
    nowhere.write_bytes(b"")
    Layout.from_dwarf(source, [dump.vmlinux], cache_dir=nowhere / "cache")


def test_vmlinux_of_another_kernel(kernel: str) -> None:
    source = Source.open([make.dump(kernel, "light").vmcore])
    other = make.dump("v6.1" if kernel != "v6.1" else "v6.12", "light").vmlinux
    with pytest.raises(TargetError, match="is not the dumped kernel's") as caught:
        Layout.from_dwarf(source, [other])
    assert str(other) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_types_of_loaded_modules(kernel: str) -> None:
    """Split BTF in the dump of a kernel that has nd_pmem loaded."""
    dump = make.dump(kernel, "pmem")
    source = Source.open([dump.vmcore])
    table = layouts.entries(Layout.from_dwarf(source, [dump.vmlinux]))
    if not table["symbol", "btf_modules"]["known"]:
        assert not table["type", "struct pmem_device"]["known"]
        return
    module = Path(dump.meta["debug_modules"]) / "nd_pmem.ko.debug"
    full = layouts.entries(Layout.from_dwarf(source, [dump.vmlinux, module]))
    assert full["type", "struct pmem_device"]["known"]
    assert layouts.differences(table, full) == []
    btf = but_for_kallsyms(Layout.from_btf(source))
    assert layouts.differences(btf, {key: full[key] for key in btf}) == []


def without_build_id(vmcore: Path, *, memory: bool = True) -> Source:
    """A dump as of a kernel before VMCOREINFO had the build id."""
    real = Source.open([vmcore])
    note: bytes = real.info["vmcoreinfo"]
    lines = [line for line in note.split(b"\n") if not line.startswith(b"BUILD-ID=")]

    def read(phys: int, length: int) -> Optional[bytes]:
        try:
            return real.read(phys, length) if memory else None
        except TargetError:
            return None

    return Source.from_callback(read, b"\n".join(lines), False, real.info["machine"])


def test_vmlinux_by_its_banner(kernel: str) -> None:
    dump = make.dump(kernel, "light")
    other = make.dump("v6.1" if kernel != "v6.1" else "v6.12", "light").vmlinux
    source = without_build_id(dump.vmcore)
    Layout.from_dwarf(source, [dump.vmlinux])
    with pytest.raises(TargetError, match='it is of "Linux version .*the dump of'):
        Layout.from_dwarf(source, [other])
    source = without_build_id(dump.vmcore, memory=False)
    Layout.from_dwarf(source, [dump.vmlinux])
    with pytest.raises(TargetError, match=re.escape(f"the dump of release {dump.meta['release']}")):
        Layout.from_dwarf(source, [other])
