# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps of guests that crashed: really, with the kernel's own last words in its log."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

from . import elfcore, initramfs, kernels
from .gdb import Gdb
from .make import SILENCE_SECONDS, Dump, build
from .paths import lab_dir, lock
from .qemu import Hardware, Machine
from .run import LabError, run, tool

# Without panic=-1, a machine that panicked stays as it is.
CMDLINE = "console=ttyS0 oops=panic printk.time=1"
CRASH_SECONDS = 120

# A page of a section that a machine of 1 GiB does not have, in the middle of a pageblock:
# the first look at it is at its struct page.
ABSENT_PFN = 0x48123
HARDWARE = Hardware(memory_mib=1024)

WORKLOAD = ["guest anon 32", "guest thp 32", "guest file /tmp/file 8"]

Facts = dict[str, Any]


def _symbol(kernel: kernels.Kernel, name: str) -> int:
    nm = run([tool("nm", "binutils"), str(kernel.vmlinux)])
    found = re.search(rf"^([0-9a-f]+) [tT] {name}$", nm, re.M)
    if not found:
        raise LabError(f"{kernel.key} has no symbol {name}")
    return int(found[1], 16)


def _vmcoreinfo(machine: Machine) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z_()]+)=(.*)$", machine.notes().decode("latin-1"), re.M))


def _walker(kernel: kernels.Kernel, machine: Machine) -> Facts:
    """Compaction walks on into a section that is not there: a pfn that went stale."""
    machine.qmp.command("stop")
    kaslr = int(_vmcoreinfo(machine).get("KERNELOFFSET", "0"), 16)
    address = _symbol(kernel, "isolate_migratepages_block") + kaslr
    stub = machine.work / "gdb.sock"
    machine.qmp.command(
        "human-monitor-command", command_line=f"gdbserver unix:{stub},server=on,wait=off"
    )
    gdb = Gdb(stub)
    machine.say("ok")
    gdb.run_to(address)
    # isolate_migratepages_block(cc, low_pfn, end_pfn, mode)
    gdb.set_register("rsi", ABSENT_PFN)
    gdb.set_register("rdx", ABSENT_PFN + 0x100)
    gdb.detach()
    return {"pfn": ABSENT_PFN, "function": "isolate_migratepages_block", "address": address}


def _sysrq(_: kernels.Kernel, machine: Machine) -> Facts:
    """The kernel is told to crash: no page has anything to do with it."""
    machine.say("ok")
    return {"pfn": None}


# How the host brings it about, and what the guest does then.
CRASHES: dict[str, tuple[Callable[[kernels.Kernel, Machine], Facts], list[str]]] = {
    "walker": (_walker, ["echo 1 >/proc/sys/vm/compact_memory", "sleep 60"]),
    "sysrq": (_sysrq, ["echo c >/proc/sysrq-trigger", "sleep 60"]),
}


def dump(kernel: str, how: str) -> Dump:
    """The dump of a kernel that crashed in that way; made if not in the cache.

    `meta["crash"]` has what is known of it: "pfn", "function", "address".
    """
    image = kernels.fetch(kernel)
    path = lab_dir() / "dumps" / f"{kernel}-crash-{how}"
    with lock(f"dump-{path.name}"):
        if not (path / "meta.json").exists():
            with lock("qemu"):
                build(path, lambda work: _boot(image, how, work))
    return Dump(path, image)


def _boot(kernel: kernels.Kernel, how: str, work: Path) -> None:
    bring_about, then = CRASHES[how]
    pieces = [*WORKLOAD, "guest host crash", *then]
    image = work / "initramfs"
    image.write_bytes(initramfs.build(kernel, "".join(f"{p}\n" for p in pieces), "", (), {}))
    with Machine(kernel, HARDWARE, image, CMDLINE, work) as machine:
        _serve_until_crash(machine)
        facts = bring_about(kernel, machine)
        _wait_for_panic(machine)
        machine.qmp.command("stop")
        segments = machine.segments()
        elfcore.write_vmcore(work / "vmcore.elf", machine.notes(), segments, 0)
    meta = {
        "kernel": kernel.key,
        "release": kernel.release,
        "vmlinux": str(kernel.vmlinux),
        "debug_modules": str(kernel.debug_modules),
        "recipe": f"crash-{how}",
        "what": bring_about.__doc__,
        "pieces": pieces,
        "cmdline": CMDLINE,
        "hardware": asdict(HARDWARE),
        "crash": facts,
    }
    (work / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def _serve_until_crash(machine: Machine) -> None:
    while True:
        word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
        if word == "begin":
            machine.say("ok")
        elif word == "crash":
            return
        else:
            raise LabError(f"the guest said {word} {rest}")


def _wait_for_panic(machine: Machine) -> None:
    until = time.monotonic() + CRASH_SECONDS
    while "end Kernel panic" not in machine.console_text():
        if machine.process.poll() is not None:
            raise LabError("QEMU ended, not the guest")
        if time.monotonic() > until:
            raise LabError("the guest did not crash")
        time.sleep(0.2)
