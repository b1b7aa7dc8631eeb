# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words planted in the live part of a task's stack."""

from __future__ import annotations

import struct
from typing import Iterator

import drgn
from drgn.helpers.linux import cpumask, sched
from drgn.helpers.linux.pid import find_task, for_each_task
from planting import PAGE_SIZE, Site


def zeros(site: Site, start: int, end: int) -> Iterator[int]:
    """Addresses of words of 0."""
    words = struct.unpack(f"<{(end - start) // 8}Q", site.prog.read(start, end - start))
    yield from (start + 8 * i for i, word in enumerate(words) if not word)


def below_registers(site: Site, sleeper: drgn.Object) -> int:
    """Where the stack of a system call begins."""
    registers: int = drgn.sizeof(site.prog.type("struct pt_regs"))
    return int(sleeper.stack) + 4 * PAGE_SIZE - registers


#: What sleeper() puts below a task's stack pointer.
ROOM = 1024


def sleeper(site: Site, event: str = "aio") -> drgn.Object:
    """The task of an event, asleep, with room on its stack for words in use.

    What its earlier system calls have left there is gone: since no frame is known in that
    room all behind it counts.
    """
    found = find_task(site.prog, site.events(event)[0]["pid"])
    entry = site.prog.symbol("do_syscall_64")
    start, end = int(found.thread.sp), below_registers(site, found)
    words = struct.unpack(f"<{(end - start) // 8}Q", site.prog.read(start, end - start))
    calls = next(i for i, word in enumerate(words) if 0 <= word - entry.address < entry.size)
    at = start + 8 * (calls + 1)
    site.write(at, bytes(max(end - 64 - at, 0)))
    site.write(start - ROOM, bytes(ROOM))
    site.set(found.thread.sp, start - ROOM)
    return found


def sleeping_words(site: Site, sleeper: drgn.Object) -> Iterator[int]:
    """Of the live part of a sleeping task's stack, below its registers."""
    return zeros(site, int(sleeper.thread.sp) + 64, below_registers(site, sleeper) - 64)


def room_for_list(site: Site) -> "tuple[int, Iterator[int]]":
    """Where a list_head may lie on a sleeping task's stack, and more words of it."""
    for each in for_each_task(site.prog):
        stack, sp = int(each.stack), int(each.thread.sp)
        if each.on_cpu or not each.mm or not stack <= sp < stack + 4 * PAGE_SIZE - 512:
            continue
        words = sleeping_words(site, each)
        last = next(words, 0)
        for at in words:
            if at == last + 8 and next(words, 0) and next(words, 0):
                words = sleeping_words(site, each)
                return last, (word for word in words if word > at)
            last = at
    raise AssertionError("no stack has room")


def running_words(site: Site) -> "tuple[int, Iterator[int]]":
    """A CPU that is in the kernel, and words of its task's live stack."""
    for cpu in cpumask.for_each_online_cpu(site.prog):
        runs = sched.cpu_curr(site.prog, cpu)
        stack = int(runs.stack)
        sp = site.prog.stack_trace(runs)[0].sp
        if stack <= sp < stack + 4 * PAGE_SIZE:
            return cpu, zeros(site, (sp + 7) & ~7, stack + 4 * PAGE_SIZE)
    raise AssertionError("all CPUs are in user space")


def put(site: Site, words: Iterator[int], *values: int) -> None:
    for value in values:
        site.write(next(words), value.to_bytes(8, "little"))


def inside(site: Site, function: str) -> int:
    """An address to which a call of the function returns."""
    return int(site.prog.symbol(function).address) + 16


def inside_split(site: Site) -> int:
    """The same of the function of this kernel that splits a folio."""
    functions = ("split_huge_page_to_list", "split_huge_page_to_list_to_order", "__folio_split")
    (splits,) = (s for name in functions for s in site.prog.symbols(name) if s.name == name)
    return inside(site, splits.name)
