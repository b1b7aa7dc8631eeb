# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs an audit and puts its report together."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple

from drgn_contrib import _pageaudit, report, target, typed, walking
from drgn_contrib.live import audit_live
from drgn_contrib.symbols import Symbols
from drgn_contrib.target import vmcoreinfo_value
from drgn_contrib.version import VERSION

if TYPE_CHECKING:
    import drgn

#: Called with the phase, how much is done, and of how much.
Progress = Callable[[str, int, int], object]


def audit(
    prog: drgn.Program,
    checks: Optional[Sequence[str]] = None,
    threads: int = 0,
    progress: Optional[Progress] = None,
    *,
    paths: Sequence[str] = (),
    max_cpu: int = 0,
) -> report.Report:
    """Audit the kernel of a drgn Program.

    A running kernel is read several times where something looks wrong, and what did not
    hold still is left out: ``report.live`` says how often.

    :param checks: Ids of the checks to run; all by default.
    :param threads: Threads to use; 0 for one a processor, and of a running kernel
        one less.
    :param progress: Called a few times a second with the phase, and how much
        of how much is done.
    :param paths: The dump's files, needed only where it is in several parts, or
        drgn is so old that it does not tell.
    :param max_cpu: How many hundredths of one processor to use at most; 0 for
        no bound.
    :raises TargetError: The target can't be analysed.
    :raises ValueError: There is no such check.

    >>> report = drgn_contrib.audit(prog)
    >>> for finding in report.findings:
    ...     print(finding.summary, finding.page)
    """
    opened = target.open_program(prog, paths, threads=threads)
    return run(opened, checks, progress, max_cpu=max_cpu)


def run(
    opened: target.OpenedTarget,
    checks: Optional[Sequence[str]] = None,
    progress: Optional[Progress] = None,
    *,
    max_cpu: int = 0,
    picture: bool = False,
) -> report.Report:
    """Audit an opened target; with a picture of its memory, if one is wanted."""
    kernel, live = opened.kernel, None
    if opened.source.info["live"]:
        kernel, result, live = audit_live(
            opened, checks, progress, max_cpu=max_cpu, picture=picture
        )
    else:
        result = kernel.audit(checks, progress, max_cpu=max_cpu, picture=picture)
    symbols, findings = Symbols(opened), result["findings"]
    memory = kernel.memory()
    unjudged: Mapping[str, int] = {}
    walkers = [dict(walker, variables=[]) for walker in result["walkers"]]
    # A running kernel's memory and stacks are others by now.
    if not live:
        if any(check["id"] == "stale-page-reference" for check in result["checks"]):
            findings, unjudged = typed.name_all(opened, symbols, findings, memory)
        walkers = walking.name_variables(opened, symbols, walkers)
        findings = walking.judge(findings, walkers)
    log = read_log(kernel)
    records = kernel.log_records()
    return report.Report(
        tool=tool(),
        target=describe(opened),
        log=log,
        memory=_memory(memory),
        coverage={
            **result["coverage"],
            **unjudged,
            "log_records": len(records["records"]),
            "log_records_unreadable": records["unreadable"],
            "log_not_read": int(records["error"] is not None),
        },
        census=tuple(report.CensusPart(**part) for part in result["census"]),
        checks=tuple(report.CheckResult(**check) for check in result["checks"]),
        findings=report.sort_findings([_finding(found, log, opened.prog) for found in findings]),
        poisoned=with_log(result["poisoned"], log),
        walkers=tuple(walkers),
        live=live,
        picture=_picture(result["picture"], memory, kernel.numbers()) if picture else None,
    )


def read_log(kernel: _pageaudit.Kernel) -> Tuple[report.LogRecord, ...]:
    """Records of the kernel's log that speak of pages."""
    return tuple(report.LogRecord(**record) for record in kernel.log())


def log_lines(log: Sequence[report.LogRecord], pfn: int, pfn_end: int) -> "list[str]":
    """What the log says of pages in [pfn, pfn_end), a line each."""
    return [
        f"[{record.time:.6f}] {record.text}"
        for record in log
        if record.pfn is not None and pfn <= record.pfn < pfn_end
    ]


def with_log(
    poisoned: Sequence[Mapping[str, Any]], log: Sequence[report.LogRecord]
) -> "Tuple[Mapping[str, Any], ...]":
    """Poisoned pages with what the log says of them, and of a hugetlb folio's bad pages."""
    said: "dict[int, list[str]]" = {}
    for record in log:
        if record.pfn is not None:
            said.setdefault(record.pfn, []).extend(log_lines([record], record.pfn, record.pfn + 1))
    return tuple(
        {
            **page,
            "log": [
                line
                for pfn in sorted({page["pfn"], *(page["raw_pages"] or ())})
                for line in said.get(pfn, ())
            ],
        }
        for page in poisoned
    )


def tool() -> report.Tool:
    """What makes reports here."""
    return report.Tool(
        name="pageaudit",
        version=VERSION,
        drgn=importlib.metadata.version("drgn"),
        **_pageaudit.versions(),
    )


def describe(opened: target.OpenedTarget) -> report.Target:
    """The target as the report has it."""
    info = opened.source.info
    numbers = opened.kernel.numbers()
    crash = opened.kernel.crash()
    return report.Target(
        path=opened.path,
        format=info["format_name"],
        live=info["live"],
        release=vmcoreinfo_value(info["vmcoreinfo"], "OSRELEASE") or "unknown",
        build_id=vmcoreinfo_value(info["vmcoreinfo"], "BUILD-ID"),
        arch=numbers["arch"],
        page_size=numbers["page_size"],
        dump_level=info["dump_level"],
        complete=info["complete"],
        crash=report.Crash(**crash) if crash else None,
        types_from=opened.layout.types_from,
    )


def _memory(memory: Mapping[str, Any]) -> report.Memory:
    return report.Memory(
        sections=memory["sections"],
        sections_online=memory["sections_online"],
        pages=memory["pages"],
        zones=tuple(memory["zones"]),
        pgmaps=tuple(memory["pgmaps"]),
    )


def _picture(
    drawn: Mapping[str, Any], memory: Mapping[str, Any], numbers: Mapping[str, Any]
) -> report.Picture:
    return report.Picture(
        memory=memory,
        kinds=dict(zip(drawn["kinds"], drawn["pages"])),
        poisoned=drawn["poisoned"],
        cell_pages=drawn["cell_pages"],
        sections=drawn["sections"],
        vmemmap=numbers["vmemmap"],
        page_struct_size=numbers["page_struct_size"],
    )


def _finding(
    found: Mapping[str, Any],
    log: Tuple[report.LogRecord, ...],
    prog: Optional[drgn.Program],
) -> report.Finding:
    evidence = dict(found["evidence"])
    if found["pfn"] is not None:
        lines = log_lines(log, found["pfn"], found["pfn_end"])
        if lines:
            evidence["log"] = "\n".join(lines)
    return report.Finding(
        check=found["check"],
        severity=found["severity"],
        pfn=found["pfn"],
        pfn_end=found["pfn_end"],
        page_address=None if found["page"] is None else int(found["page"], 16),
        summary=found["summary"],
        evidence=evidence,
        _prog=prog,
    )
