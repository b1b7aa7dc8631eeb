# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps of guests stopped while a task that goes through memory by pfn loses it to another.

The walker is made to sleep where it calls a function, as if that did; meanwhile somebody
takes the memory under it offline. One dump is of the middle of that, and one of when it
is done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import elfcore, initramfs, kernels
from .instants import Breakpoints
from .make import SILENCE_SECONDS, Dump, build
from .paths import lab_dir, lock
from .qemu import Hardware, Machine
from .run import LabError

# Where KASLR puts the kernel, be it into the zone Movable, memory cannot go offline.
CMDLINE = "console=ttyS0 panic=-1 oops=panic printk.time=1 nokaslr"
# Of x86-64: pages of a section, which a memory block of these machines is.
BLOCK_SHIFT = 15
# How long a walker or who offlines is waited for, in seconds.
WAIT_SECONDS = 60.0
MIDDLE_SECONDS = 20.0


@dataclass(frozen=True)
class Walk:
    """A walker, and where it is held up."""

    # What the guest does to have one.
    command: str
    # Functions that are told a pfn, and the argument that it is; the first that there is.
    functions: tuple[str, ...]
    argument: str
    # It sleeps where it calls the first of these that it does.
    callees: tuple[str, ...]
    # Who takes the memory offline is stopped where it enters this.
    offliner: str = "test_pages_isolated"
    # Only in this zone's blocks, which can go offline whatever is in them.
    movable: bool = True
    # The argument is where the pfn is.
    indirect: bool = False
    # Of the blocks from the pfn's on, the one that goes offline.
    block: int = 0
    hardware: Hardware = Hardware(memory_mib=1024)
    cmdline: str = "movablecore=512M"


COMPACT = "echo 1 >/proc/sys/vm/compact_memory"
GIGANTIC = "echo 1 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
COND_RESCHED = ("__SCT__cond_resched", "_cond_resched")
CONTIG = (
    "alloc_contig_frozen_range_noprof",
    "alloc_contig_range_noprof",
    "alloc_contig_range",
)
LARGE: dict[str, Any] = {
    "movable": False,
    "hardware": Hardware(memory_mib=6144, cpu="Haswell,+pdpe1gb"),
    "cmdline": "",
}

WALKS: dict[str, Walk] = {
    "migrate": Walk(COMPACT, ("isolate_migratepages_block",), "rsi", COND_RESCHED),
    "free": Walk(COMPACT, ("isolate_freepages_block",), "rsi", COND_RESCHED, indirect=True),
    # Before the range is isolated: nobody is in the way of who takes a part of it.
    "contig": Walk(GIGANTIC, CONTIG, "rdi", ("start_isolate_page_range",), block=2, **LARGE),
    # And after it: two want to isolate the same.
    "contig-isolated": Walk(
        GIGANTIC,
        CONTIG,
        "rdi",
        ("__alloc_contig_migrate_range", "lru_cache_disable", "migrate_prep"),
        offliner="start_isolate_page_range",
        block=2,
        **LARGE,
    ),
    "isolate": Walk(
        GIGANTIC,
        ("isolate_single_pageblock", "start_isolate_page_range"),
        "rdi",
        # Where v5.10 has let go of the zone's lock: nobody may sleep with that.
        ("set_migratetype_isolate", "drain_all_pages"),
        offliner="start_isolate_page_range",
        block=2,
        **LARGE,
    ),
}

# Compaction leaves locked memory where it is, and who offlines memory does not: so the
# walker has nothing in hand that keeps its block from going.
WORKLOAD = [
    "echo 0 >/proc/sys/vm/compact_unevictable_allowed",
    "guest mlocked 320",
    "guest anon 32",
    "guest file /tmp/file 8",
]


@dataclass(frozen=True)
class WalkDump(Dump):
    """`meta["walk"]` has what is known: "function", "callee", "pfn", "block", "state"."""

    @property
    def after(self) -> Path:
        """The ELF vmcore of when the memory is offline, or could not go."""
        return self.path / "after.elf"


def dump(kernel: str, name: str) -> WalkDump:
    """The dumps of a walker of that name; made if not in the cache."""
    image = kernels.fetch(kernel)
    path = lab_dir() / "dumps" / f"{kernel}-walk-{name}"
    with lock(f"dump-{path.name}"):
        if not (path / "meta.json").exists():
            with lock("qemu"):
                build(path, lambda work: _boot(image, name, work))
    return WalkDump(path, image)


def _pieces(walk: Walk) -> list[str]:
    return [
        *WORKLOAD,
        f"(until [ -e /run/go ]; do usleep 20000; done; {walk.command}) &",
        "movable=$(grep -l '^Movable' $MEMORY/memory*/valid_zones | tr -dc '0-9\\n' | sort -n)",
        "guest host walk $movable",
        "touch /run/go",
        "block=$(guest host held) && block=${block#ok }",
        '(echo offline >"$MEMORY/memory$block/state"; touch /run/over) &',
        "for try in $(seq 100); do [ -e /run/over ] && break; sleep 0.2; done",
        'guest host over "$(cat "$MEMORY/memory$block/state")"',
        "sleep 1000",
    ]


def _boot(kernel: kernels.Kernel, name: str, work: Path) -> None:
    walk = WALKS[name]
    pieces = _pieces(walk)
    image = work / "initramfs"
    image.write_bytes(initramfs.build(kernel, "".join(f"{p}\n" for p in pieces), "", (), {}))
    with Machine(kernel, walk.hardware, image, f"{CMDLINE} {walk.cmdline}", work) as machine:
        movable = {int(n) for n in _hear(machine, "walk").split()}
        breakpoints = Breakpoints(kernel, machine)
        machine.say("ok")
        function, callee, pfn = _hold(breakpoints, walk, movable)
        breakpoints.detach()

        _hear(machine, "held")
        breakpoints = Breakpoints(kernel, machine)
        block = (pfn >> BLOCK_SHIFT) + walk.block
        machine.say(f"ok {block}")
        came = breakpoints.run_to([breakpoints.address(walk.offliner)], MIDDLE_SECONDS)
        segments = machine.segments()
        elfcore.write_vmcore(work / "vmcore.elf", machine.notes(), segments, 0)
        breakpoints.detach()

        state = _hear(machine, "over")
        machine.qmp.command("stop")
        elfcore.write_vmcore(work / "after.elf", machine.notes(), segments, 0)
    meta = {
        "kernel": kernel.key,
        "release": kernel.release,
        "vmlinux": str(kernel.vmlinux),
        "debug_modules": str(kernel.debug_modules),
        "recipe": f"walk-{name}",
        "pieces": pieces,
        "cmdline": f"{CMDLINE} {walk.cmdline}",
        "hardware": asdict(walk.hardware),
        "walk": {
            "function": function,
            "callee": callee,
            "pfn": pfn,
            "block": block,
            "offliner": walk.offliner if came else None,
            "state": state,
        },
    }
    (work / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def _hear(machine: Machine, wanted: str) -> str:
    """What the guest says with a word, after words that need no thought."""
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word == wanted:
            return rest
        if word != "begin":
            raise LabError(f"the guest said {word} {rest}")
        machine.say("ok")


def _hold(breakpoints: Breakpoints, walk: Walk, movable: "set[int]") -> "tuple[str, str, int]":
    """Put the first walker to sleep that is in memory which can go."""
    function = next((f for f in walk.functions if breakpoints.has(f)), None)
    if function is None:
        raise LabError("the kernel has no such walker")
    entry = breakpoints.address(function)
    callee, sites = next(
        ((c, found) for c in walk.callees if (found := breakpoints.calls(function, c))),
        ("", []),
    )
    if not sites:
        raise LabError(f"{function}() calls none of {walk.callees}")
    pfn = 0
    wanted = [entry]
    while True:
        at = breakpoints.run_to(wanted, WAIT_SECONDS)
        if at is None:
            raise LabError(f"nobody came to {function}()")
        if at != entry:
            breakpoints.sleep_instead_of_call()
            return function, callee, pfn
        pfn = breakpoints.register(walk.argument)
        if walk.indirect:
            pfn = breakpoints.read_u64(pfn)
        # Each stop takes its time.
        is_wanted = not walk.movable or pfn >> BLOCK_SHIFT in movable
        wanted = [entry, *sites] if is_wanted else [entry]
