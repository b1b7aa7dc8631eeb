# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layouts from debug info that compilers make, and from files that are none."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Sequence

import layouts
import pytest
from files import EM_X86_64

from drgn_contrib._pageaudit import Layout, Source, TargetError

#: Everything that a kernel's types can be, under names of our table.
SOURCE = r"""
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

typedef struct { int counter; } atomic_t;
struct list_head { struct list_head *next, *prev; };
typedef struct { unsigned long bits[4]; } nodemask_t;
typedef nodemask_t const pair_of_masks[2][3];

struct page {
	unsigned long flags;
	union {
		struct {
			struct list_head lru;
			void *mapping;
			union { unsigned long index; unsigned long share; };
			const volatile unsigned long private;
		};
		struct { unsigned long compound_head; u8 compound_dtor; };
		struct { u64 : 64; void *pgmap; };
	};
	union { volatile const atomic_t _mapcount; unsigned int page_type; };
	atomic_t _refcount;
} __attribute__((aligned(16)));

struct free_area { struct list_head free_list[6]; unsigned long nr_free; };
struct zone {
	struct free_area free_area[11];
	const char *name;
	unsigned long compact_cached_migrate_pfn[2];
	pair_of_masks vm_stat;
	struct { } initialized;
	struct pglist_data *zone_pgdat;
};
struct mem_cgroup { struct list_head css; void *nodeinfo[]; };
struct mem_section_usage {
	unsigned long subsection_map[1];
	unsigned long pageblock_flags[0];
};
struct printk_info {
	u64 seq;
	u64 ts_nsec;
	u16 text_len;
	u8 facility;
	u8 flags : 5;
	u8 level : 3;
	u32 caller_id;
};
struct xa_node { u32 before : 7, shift : 3, offset : 12; u64 count : 33; };
struct name { char sysname[65], release[65]; };
struct uts_namespace { int count; struct name name; };
struct task_struct {
	struct { u32 flags, cpu; } thread_info;
	struct { unsigned long pad[3], sp; union { unsigned long cr2; }; } thread;
	int __state;
};
union slab { int of_another_kind; };
struct kmem_cache;

enum pageflags { PG_locked, PG_lru = 5, PG_head = 0x80, PG_dirty = -3 };
enum { PGTY_buddy = 0xf0, PGTY_mapcount_underflow = 0xff } a_type;
enum { SECTION_MAP_LAST_BIT = 0xffffffffu, NR_LRU_LISTS = 200 } a_bit;
enum { N_POSSIBLE = 0x123456789all, N_ONLINE = -1ll } a_state;

struct page the_page;
struct zone the_zone;
struct mem_cgroup *the_memcg;
struct mem_section_usage *the_usage;
struct printk_info the_info;
struct xa_node the_node;
struct uts_namespace init_uts_ns;
struct task_struct init_task;
union slab the_slab;
struct kmem_cache *the_cache;
enum pageflags the_flag;
const char linux_banner[] = "Linux version 6.1.0-test (of a test)\n";
static int prb;
int *_start(void) { return &prb; }
"""

#: A unit that knows some of the types otherwise, or less of them.
OTHER_SOURCE = r"""
struct page;
struct zone { int of_a_driver; };
struct zone the_other_zone;
struct page *the_other_page;
static long prb = 1;
long *use(void) { return &prb; }
"""

Compile = Callable[..., Path]


@pytest.fixture
def compile_kernel(tmp_path: Path) -> Compile:
    """compile_kernel(*flags, cc=...): something like a vmlinux."""
    (tmp_path / "kernel.c").write_text(SOURCE)
    (tmp_path / "other.c").write_text(OTHER_SOURCE)

    def compile_kernel(*flags: str, cc: str = os.environ.get("CC", "cc")) -> Path:
        out = tmp_path / "vmlinux"
        command = [*shlex.split(cc), "-nostdlib", "-static", "-fno-pic", "-no-pie"]
        command += ["-mcmodel=kernel", "-Wl,-Ttext=0xffffffff81000000", "-w", "-ffreestanding"]
        command += ["-Wl,--build-id", *flags, "-o", str(out)]
        # Both orders of the two must give the same.
        subprocess.run(
            [*command, str(tmp_path / "other.c"), str(tmp_path / "kernel.c")],
            check=True,
            capture_output=True,
        )
        return out

    return compile_kernel


def check(path: Path, oracle: "layouts.Entries | None" = None) -> layouts.Entries:
    ours = layouts.entries(Layout.from_dwarf(None, [path]))
    theirs = oracle or layouts.oracle(layouts.program([path]), ours)
    # Which of several symbols or types of one name is the one is our own rule.
    for key in list(theirs):
        if key == ("symbol", "prb") or key[1].split(".")[0].endswith("zone"):
            theirs[key] = ours[key]
    assert layouts.differences(ours, theirs) == []
    return ours


FLAGS = [
    ("-g", "-gdwarf-2"),
    ("-g", "-gdwarf-3"),
    ("-g", "-gdwarf-4"),
    ("-g", "-gdwarf-4", "-gstrict-dwarf"),
    ("-g", "-gdwarf-4", "-fdebug-types-section"),
    ("-g", "-gdwarf-5"),
    ("-g", "-gdwarf-5", "-O2"),
    ("-g", "-gz"),
]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("cc", ["cc", "clang"])
def test_compilers(compile_kernel: Compile, cc: str, flags: Sequence[str]) -> None:
    if shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")
    ours = check(compile_kernel(*flags, cc=cc))
    page = ours["type", "struct page"]
    assert page == {"known": True, "size": 64}
    assert ours["member", "page.private"]["offset"] == 40
    assert ours["member", "page._mapcount"] == {
        "known": True,
        "offset": 48,
        "size": 4,
        "length": 0,
        "element_size": 4,
        "bit_size": 0,
        "bit_offset": 0,
    }
    # The larger and better one of two.
    assert ours["member", "zone.free_area"]["length"] == 11
    assert ours["member", "zone.vm_stat"]["length"] == 6
    assert ours["member", "zone.vm_stat"]["element_size"] == 32
    assert ours["member", "mem_cgroup.nodeinfo"]["element_size"] == 8
    assert ours["member", "mem_cgroup.nodeinfo"]["length"] == 0
    level = ours["member", "printk_info.level"]
    assert (level["offset"], level["bit_offset"], level["bit_size"]) == (19, 5, 3)
    offset = ours["member", "xa_node.offset"]
    assert (offset["offset"], offset["bit_offset"], offset["bit_size"]) == (1, 2, 12)
    assert offset["size"] == 2
    assert ours["member", "task_struct.thread.cr2"]["offset"] == 40
    assert ours["member", "uts_namespace.name.release"]["length"] == 65
    assert not ours["type", "struct slab"]["known"]
    assert not ours["type", "struct kmem_cache"]["known"]
    assert ours["enumerator", "PG_dirty"]["value"] == -3
    assert ours["enumerator", "PGTY_buddy"]["value"] == 0xF0
    assert ours["enumerator", "SECTION_MAP_LAST_BIT"]["value"] == 0xFFFFFFFF
    assert ours["enumerator", "N_POSSIBLE"]["value"] == 0x123456789A
    assert ours["enumerator", "N_ONLINE"]["value"] == -1
    assert ours["symbol", "init_task"]["address"] >> 31 == 0x1FFFFFFFF
    assert ours["symbol", "prb"]["known"]


def test_separate_debug_file(compile_kernel: Compile, tmp_path: Path) -> None:
    vmlinux = compile_kernel("-g")
    ours = check(vmlinux)
    debug = tmp_path / "vmlinux.debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(vmlinux), str(debug)], check=True)
    check(debug, oracle=ours)
    subprocess.run(["objcopy", "--compress-debug-sections", str(vmlinux)], check=True)
    check(vmlinux, oracle=ours)


def test_vmlinux_of_the_target(compile_kernel: Compile, tmp_path: Path) -> None:
    vmlinux = compile_kernel("-g", "-Wl,--build-id=0xabcdef01")
    symbols = layouts.entries(Layout.from_dwarf(None, [vmlinux]))
    address = symbols["symbol", "init_task"]["address"]

    def refusal(path: Path, *lines: str) -> str:
        note = ["NUMBER(phys_base)=0", "KERNELOFFSET=1000000", *lines]
        source = Source.from_callback(
            lambda phys, length: None, "\n".join(note).encode(), False, EM_X86_64
        )
        with pytest.raises(TargetError) as caught:
            Layout.from_dwarf(source, [path])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    # It lacks most of a kernel, but is the right one.
    right = "type information lacks struct"
    assert right in refusal(vmlinux)
    assert right in refusal(vmlinux, "OSRELEASE=6.1.0-test", "BUILD-ID=abcdef01")
    wrong = refusal(vmlinux, "OSRELEASE=6.1.0-test", "BUILD-ID=abcdef02")
    assert "its build id is abcdef01, the dump's abcdef02" in wrong
    # Without a build id by the banner, else by the symbols.
    assert right in refusal(vmlinux, "OSRELEASE=6.1.0-test")
    wrong = refusal(vmlinux, "OSRELEASE=6.1.0-tes")
    assert "Linux version 6.1.0-test (of a test)" in wrong
    assert "the dump of release 6.1.0-tes" in wrong
    debug = tmp_path / "vmlinux.debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(vmlinux), str(debug)], check=True)
    assert right in refusal(debug, f"SYMBOL(init_task)={address + 0x1000000:x}")
    wrong = refusal(debug, f"SYMBOL(init_task)={address:x}")
    assert f"it has init_task at {address + 0x1000000:#x}, the dump at {address:#x}" in wrong


def outcome(path: Path) -> "str | None":
    """The error for a file, if it is one."""
    try:
        Layout.from_dwarf(None, [path])
    except TargetError as error:
        return str(error)
    return None


def sentence(path: Path, *, code: str) -> str:
    """The error for a file: one sentence, that names it."""
    with pytest.raises(TargetError) as caught:
        Layout.from_dwarf(None, [path])
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert caught.value.code == code
    return text


def test_files_without_what_is_needed(compile_kernel: Compile, tmp_path: Path) -> None:
    vmlinux = compile_kernel()
    assert "no debug information" in sentence(vmlinux, code="missing")
    vmlinux = compile_kernel("-g")
    subprocess.run(["strip", str(vmlinux)], check=True)
    assert "no symbol table" in sentence(vmlinux, code="missing")
    module = tmp_path / "module.ko"
    (tmp_path / "module.c").write_text("struct pmem_device { int a; void *disk; } it;\n")
    compiler = [*shlex.split(os.environ.get("CC", "cc")), "-g", "-c", "-o", str(module)]
    subprocess.run([*compiler, str(tmp_path / "module.c")], check=True)
    assert "vmlinux has to be given first" in sentence(module, code="unsupported")

    # As the second file it is welcome.
    vmlinux = compile_kernel("-g")
    layout = layouts.entries(Layout.from_dwarf(None, [vmlinux, module]))
    assert layout["member", "pmem_device.disk"]["offset"] == 8
    assert layout["type", "struct page"]["size"] == 64
    subprocess.run(["strip", "-g", str(module)], check=True)
    with pytest.raises(TargetError, match="no debug information"):
        Layout.from_dwarf(None, [vmlinux, module])
    with pytest.raises(TargetError) as caught:
        Layout.from_dwarf(None, [vmlinux, tmp_path / "none.ko"])
    assert "none.ko" in str(caught.value)


def test_files_that_are_no_vmlinux(compile_kernel: Compile, tmp_path: Path) -> None:
    data = compile_kernel("-g").read_bytes()
    file = tmp_path / "file"

    def refused(content: bytes, *, code: str = "format") -> str:
        file.write_bytes(content)
        return sentence(file, code=code)

    assert "not an ELF file" in refused(b"")
    assert "not an ELF file" in refused(b"just some text\n" * 100)
    boot = bytearray(4096)
    boot[0x202:0x206] = b"HdrS"
    assert "vmlinuz" in refused(bytes(boot), code="unsupported")
    for offset, value, code in [
        (4, 1, "unsupported"),  # 32 bits
        (5, 2, "unsupported"),  # big-endian
        (16, 4, "unsupported"),  # a core dump
        (16, 77, "unsupported"),
    ]:
        refused(data[:offset] + bytes([value]) + data[offset + 1 :], code=code)
    assert "not a regular file" in sentence(tmp_path, code="format")
    sentence(tmp_path / "none", code="os")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    sentence(fifo, code="format")
    # Cut anywhere: an error, whichever, or what is left.
    for cut in range(0, len(data), len(data) // 60):
        file.write_bytes(data[:cut])
        assert str(file) in (outcome(file) or str(file))
    with pytest.raises(ValueError, match="no file"):
        Layout.from_dwarf(None, [])
    with pytest.raises(TypeError):
        Layout.from_dwarf(3, [file])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Layout()


def test_damaged_debug_info(compile_kernel: Compile, tmp_path: Path) -> None:
    """Bits flipped all over the file: it ends, with or without an error."""
    data = compile_kernel("-g").read_bytes()
    file = tmp_path / "file"
    for start in range(0, len(data), len(data) // 300):
        content = bytearray(data)
        for at in range(start, min(start + 40, len(data)), 7):
            content[at] ^= 1 << (at % 8)
        file.write_bytes(content)
        assert "\n" not in (outcome(file) or "")
