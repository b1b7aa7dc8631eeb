# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tasks that go through memory by pfn have in their variables, as drgn unwinds them.

The C core tells words of their stacks, whoever's they are; a variable by its name is what
the function that is being run works on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from drgn_contrib.members import is_page_pointer

if TYPE_CHECKING:
    import drgn

    from drgn_contrib.symbols import Symbols
    from drgn_contrib.target import OpenedTarget

#: Where those functions are that go by pfn; elsewhere such names are something else's.
_SOURCES = re.compile(
    r"(^|/)mm/(compaction|page_alloc|page_isolation|memory_hotplug|memory-failure|khugepaged"
    r"|page_idle|cma|damon/\w+)\.c$"
)
#: Of alloc_contig_range() and what it calls, its bounds.
_RANGE = ("start", "end", "outer_start", "outer_end")


def name_variables(
    opened: OpenedTarget, symbols: Symbols, walkers: Sequence[Dict[str, Any]]
) -> "List[Dict[str, Any]]":
    """The walkers of an audit with their "variables": innermost function first."""
    prog = symbols.program() if walkers else None
    return [
        dict(walker, variables=list(_variables(opened, prog, walker["pid"])) if prog else [])
        for walker in walkers
    ]


def judge(
    findings: Sequence[Dict[str, Any]], walkers: Sequence[Dict[str, Any]]
) -> "List[Dict[str, Any]]":
    """The findings of an audit, those of what a walker has in hand with its variables.

    What none of them names is a word on a stack, which is no more than a hint.
    """
    by_task = {f"{each['task']} (pid {each['pid']})": each["variables"] for each in walkers}
    judged = []
    for found in findings:
        evidence = found["evidence"]
        variables = by_task.get(evidence.get("task")) if "walker" in evidence else None
        if variables:
            names = [
                f"{each['name']} of {each['function']}()"
                for each in variables
                if each["pfn"] == found["pfn"]
            ]
            text = "\n".join(names) or "none names it: a word that was left on the stack"
            found = dict(found, evidence=dict(evidence, variables=text))
            if not names and found["severity"] == "suspect":
                found["severity"] = "info"
        judged.append(found)
    return judged


def _variables(opened: OpenedTarget, prog: drgn.Program, pid: int) -> "Iterator[Dict[str, Any]]":
    told = set()
    for frame in _frames(prog, pid):
        for name, variable in _named(frame):
            pfn = _pfn(opened, name, variable, "contig" in (frame.name or ""))
            # Of a function that is inlined twice there are two.
            if pfn is None or (frame.name, name, pfn) in told:
                continue
            told.add((frame.name, name, pfn))
            try:
                page = opened.kernel.page(pfn)
            except ValueError:
                # No machine could have that one: not set yet.
                continue
            block = page.get("memory_block")
            yield {
                "function": frame.name,
                "name": name,
                "pfn": pfn,
                "is": page["state"],
                "memory_block": block["state"] if block else None,
                "resource": page["resource"],
                "cma": page["cma"],
            }


def _frames(prog: drgn.Program, pid: int) -> Iterator[drgn.StackFrame]:
    """Those of functions that go by pfn, innermost first."""
    import drgn
    from drgn.helpers.linux.pid import find_task

    try:
        task = find_task(prog, pid)
        trace = prog.stack_trace(task) if task else ()
    except (LookupError, ValueError, drgn.FaultError):
        return
    yield from filter(_goes_by_pfn, trace)


def _goes_by_pfn(frame: drgn.StackFrame) -> bool:
    try:
        return _SOURCES.search(frame.source()[0]) is not None
    except LookupError:
        return False


def _named(frame: drgn.StackFrame) -> "Iterator[Tuple[str, drgn.Object]]":
    """Variables that the compiler kept."""
    for name in frame.locals():
        try:
            variable = frame[name]
        except (LookupError, ValueError):
            continue
        if not variable.absent_:
            yield name, variable


def _pfn(opened: OpenedTarget, name: str, variable: drgn.Object, is_range: bool) -> Optional[int]:
    """The page that a variable names, if it does by its type or its name."""
    import drgn

    type_ = variable.type_
    try:
        if is_page_pointer(type_):
            return opened.kernel.resolve(variable.value_()) if variable.value_() else None
        if not (name == "pfn" or name.endswith("_pfn") or is_range and name in _RANGE):
            return None
        if type_.kind == drgn.TypeKind.POINTER:
            variable = variable[0]
        # 0 is what such a variable begins with.
        is_number = variable.type_.kind == drgn.TypeKind.INT
        return variable.value_() if is_number and variable.value_() > 0 else None
    except drgn.FaultError:
        return None
