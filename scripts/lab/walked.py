# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an audit says of walkers, beside what drgn sees of the same tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Mapping

import drgn
from drgn.helpers.linux.mm import page_to_pfn
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.xarray import xa_load

from drgn_contrib import report as reports
from drgn_contrib import run, target

from .walks import BLOCK_SHIFT, WalkDump

_POSITIONS = ("migrate_pfn", "free_pfn", "fast_start_pfn")
_STALE = "stale-page-reference"


class Walked:
    """One of the two dumps of a walker."""

    def __init__(self, dump: WalkDump, vmcore: Path) -> None:
        self.known: Mapping[str, Any] = dump.meta["walk"]
        self.over = vmcore == dump.after
        opened = target.open_target([str(vmcore)], [str(dump.vmlinux)])
        self.report: reports.Report = run.run(opened)
        self.prog = drgn.Program()
        self.prog.set_core_dump(vmcore)
        self.prog.load_debug_info([dump.vmlinux])

    def wrong(self) -> Iterator[str]:
        """What is not as drgn has it, a line each."""
        task = self.walker()
        found = [w for w in self.report.walkers if w["pid"] == int(task.pid)]
        if len(found) != 1:
            yield f"{len(found)} walkers of pid {int(task.pid)}"
            return
        (walker,) = found
        yield from self._walker(walker, task)
        yield from self._targets(walker)
        yield from self._offliner()
        yield from self._findings(task)

    def walker(self) -> drgn.Object:
        """The task_struct of who was stopped while it walked."""
        return self._task_in("msleep", self.known["function"])

    def _task_in(self, *functions: str) -> drgn.Object:
        for task in for_each_task(self.prog):
            try:
                names = {frame.name for frame in self.prog.stack_trace(task)}
            except ValueError:
                continue
            if names.issuperset(functions):
                return task
        raise AssertionError(f"nobody is in {functions}")

    def pages(self, task: drgn.Object) -> "tuple[set[int], set[int]]":
        """What a task's variables name as struct pages, and by pfn."""
        pages, pfns = set(), set()
        for frame in self.prog.stack_trace(task):
            for name in frame.locals():
                try:
                    variable = frame[name]
                except (LookupError, ValueError):
                    continue
                if variable.absent_:
                    continue
                kind = variable.type_.type_name()
                if kind == "struct page *":
                    pages.add(int(page_to_pfn(variable)))
                elif kind == "unsigned long" and ("pfn" in name or name in ("start", "end")):
                    pfns.add(int(variable))
        return pages, pfns

    def _control(self, task: drgn.Object) -> "drgn.Object | None":
        for frame in self.prog.stack_trace(task):
            try:
                control = frame["cc"]
            except LookupError:
                continue
            if control.absent_:
                continue
            if control.type_.kind == drgn.TypeKind.POINTER:
                return control[0]
            if control.address_ is not None:
                return control
        return None

    def _walker(self, walker: Mapping[str, Any], task: drgn.Object) -> Iterator[str]:
        if walker["function"] != self.known["function"]:
            yield f"in {walker['function']}(), not in {self.known['function']}()"
        if walker["task"] != task.comm.string_().decode():
            yield f"{walker['task']} is not {task.comm.string_().decode()}"
        control = self._control(task)
        if control is None:
            if walker["compact_control"]:
                yield "a compact_control that drgn does not see"
            return
        if walker["compact_control"] != hex(int(control.address_of_())):
            yield f"compact_control {walker['compact_control']}, not {control.address_of_()}"
            return
        zone = f"node {int(control.zone.node)} zone {control.zone.name.string_().decode()}"
        if walker["zone"] != zone:
            yield f"{walker['zone']} is not {zone}"
        positions = {(n, int(control.member_(n))) for n in _POSITIONS if int(control.member_(n))}
        at = {(each["name"], each["pfn"]) for each in walker["at"] if each["name"] != "page"}
        if at != positions:
            yield f"scanners at {at}, not at {positions}"

    def _block_state(self, pfn: int) -> "int | None":
        blocks = self.prog["memory_blocks"].address_of_()
        found = drgn.cast("struct memory_block *", xa_load(blocks, pfn >> BLOCK_SHIFT))
        return int(found.state) if found else None

    def _constant(self, name: str, value: int) -> int:
        try:
            return int(self.prog.constant(name))
        except LookupError:
            # A macro, before it was an enumerator.
            return value

    def _targets(self, walker: Mapping[str, Any]) -> Iterator[str]:
        """What each page is: offline if its block is, and the same with going there."""
        offline = self._constant("MEM_OFFLINE", 1 << 2)
        going = self._constant("MEM_GOING_OFFLINE", 1 << 1)
        for each in walker["at"]:
            state = self._block_state(each["pfn"])
            if (each["is"] == "in an offline section") != (state == offline):
                yield f"{each} in a block of state {state}"
            if (each["is"] == "in a memory block that is going offline") != (state == going):
                yield f"{each} in a block of state {state}"

    def _offliner(self) -> Iterator[str]:
        """Who is stopped while offlining is named, too."""
        if self.over or not self.known["offliner"]:
            return
        task = self._task_in(self.known["offliner"], "offline_pages")
        names = [w["function"] for w in self.report.walkers if w["pid"] == int(task.pid)]
        if names != [self.known["offliner"]]:
            yield f"who takes the memory offline is in {names}"

    def _findings(self, task: drgn.Object) -> Iterator[str]:
        """Only what the walker has in hand, and only when it is gone."""
        gone = self.over and self.known["state"] == "offline"
        pages, pfns = self.pages(task)
        stale = {n for n in pages | pfns if gone and n >> BLOCK_SHIFT == self.known["block"]}
        suspects = {f.pfn for f in self.report.findings if f.severity == "suspect"}
        for pfn in stale & pages - suspects:
            yield f"nothing is said of {pfn:#x}, which it has in hand"
        for finding in self.report.findings:
            if finding.severity == "info":
                continue
            is_in_hand = finding.check == _STALE and finding.pfn in stale
            if not is_in_hand or finding.severity != "suspect":
                yield f"{finding.severity}: {finding.check} {finding.pfn:#x}: {finding.summary}"
        for check in self.report.checks:
            if check.status not in ("ran", "not-applicable"):
                yield f"{check.id} {check.status}: {check.reason}"


def wrong(dump: WalkDump) -> "list[str]":
    """All that is not as drgn has it in either of the dumps."""
    return [
        f"{vmcore.stem}: {line}"
        for vmcore in (dump.vmcore, dump.after)
        for line in Walked(dump, vmcore).wrong()
    ]
