# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames that tests put on sleeping tasks' stacks, as if they were in the middle of something."""

from __future__ import annotations

import struct
from typing import Any

import drgn
from drgn.helpers.linux.pid import for_each_task
from planting import Site

#: What is added to a sleeping task's stack.
FRAME_BYTES = 1024


class Frame:
    """What a sleeping thread has on its stack besides."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.task = next(
            task
            for task in for_each_task(site.prog)
            if not task.mm and not task.on_cpu and int(task.pid) > 2
        )
        self.bottom = int(self.task.thread.sp) - FRAME_BYTES
        site.write(self.bottom, bytes(FRAME_BYTES))
        site.set(self.task.thread.sp, self.bottom)
        self.words = self.bottom

    def push(self, *words: int) -> None:
        self.site.write(self.words, struct.pack(f"<{len(words)}Q", *words))
        self.words += 8 * len(words)

    def enter(self, function: str) -> None:
        """Somebody is in the function."""
        self.push(self.site.prog.symbol(function).address + 64)

    def work_on(self, pfn: int) -> None:
        """As pfn and struct page, as a walker has both."""
        self.push(pfn, int(self.site.page(pfn)))

    def control(self, zone: drgn.Object, **positions: int) -> int:
        """A compact_control that has isolated nothing yet."""
        prog = self.site.prog
        address = self.bottom + FRAME_BYTES // 2
        control = drgn.Object(prog, "struct compact_control", address=address)
        is_array = control.freepages.type_.kind == drgn.TypeKind.ARRAY
        lists = control.freepages if is_array else [control.freepages]
        for head in [*lists, control.migratepages]:
            self.site.set(head.next, int(head.address_of_()))
            self.site.set(head.prev, int(head.address_of_()))
        self.site.set(control.zone, int(zone.address_of_()))
        for name, pfn in positions.items():
            self.site.set(control.member_(name), pfn)
        return address

    def walkers(self) -> "list[dict[str, Any]]":
        result: "list[dict[str, Any]]" = self.site.kernel().audit(None, None)["walkers"]
        return [w for w in result if w["pid"] == int(self.task.pid)]
