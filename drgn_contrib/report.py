# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report: what an audit found, as frozen dataclasses.

docs/report.rst describes the JSON form, schema/ holds its JSON Schema. Numbers
of pages and pfns are integers. Addresses are strings ("0xffff...") in JSON, whose
readers may know no integers of 64 bits.
"""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Tuple, Union

if TYPE_CHECKING:
    import drgn

SCHEMA = "pageaudit-report/1"
#: Of what `pageaudit map` says.
MAP_SCHEMA = "pageaudit-map/1"

#: Worst first.
SEVERITIES = ("bug", "suspect", "info")

#: What a check may say that it did.
STATUSES = ("ran", "partial", "skipped", "failed", "not-applicable")


class ExitStatus(enum.IntEnum):
    """What the command returns to its caller."""

    #: Nothing above info, and every check ran or does not apply.
    CLEAN = 0
    #: At least one bug or suspect.
    FOUND = 1
    #: The target could not be analysed.
    TARGET = 2
    #: Nothing above info, but a check was partial, skipped or failed.
    PARTIAL = 3
    USAGE = 64
    #: A mistake of ours, and OUTPUT: what was found can't be written. As sysexits.h has them.
    INTERNAL = 70
    OUTPUT = 74
    INTERRUPTED = 130


def hex_address(address: Optional[int]) -> Optional[str]:
    """An address as JSON has it."""
    return None if address is None else f"{address:#x}"


@dataclass(frozen=True)
class Tool:
    """What made the report."""

    name: str
    version: str
    drgn: str
    libkdumpfile: str
    libdw: str


@dataclass(frozen=True)
class Crash:
    """What the kernel died of, as the dump shows it."""

    #: What the kernel said.
    panic: Optional[str]
    #: The task that ran, its pid and CPU.
    task: Optional[str]
    pid: Optional[int]
    cpu: Optional[int]
    #: Seconds since boot.
    time: Optional[float]
    #: Where it was executing, and the symbol there.
    rip: Optional[int]
    rip_symbol: Optional[str]
    #: The address that faulted.
    cr2: Optional[int]
    #: Other registers by name, as JSON has them.
    registers: Mapping[str, str]
    #: Pages that the crash had to do with: each has "pfn", and what is known of
    #: where it lies.
    pages: Sequence[Mapping[str, Any]]

    def to_json(self) -> "dict[str, Any]":
        result = {f.name: getattr(self, f.name) for f in fields(self)}
        result.update(rip=hex_address(self.rip), cr2=hex_address(self.cr2))
        return result


@dataclass(frozen=True)
class Target:
    """What was audited."""

    path: str
    #: "ELF vmcore", "kdump (zstd)", ...
    format: str
    live: bool
    release: str
    build_id: Optional[str]
    arch: str
    #: Bytes.
    page_size: int
    #: makedumpfile's -d, if the dump says.
    dump_level: Optional[int]
    #: False if the file was cut short.
    complete: bool
    crash: Optional[Crash]
    #: "dwarf" or "btf".
    types_from: str

    def to_json(self) -> "dict[str, Any]":
        result = {f.name: getattr(self, f.name) for f in fields(self)}
        result["crash"] = self.crash.to_json() if self.crash else None
        return result


@dataclass(frozen=True)
class LiveRun:
    """How a running kernel was read, and what that cost."""

    #: What looks wrong is read again, all of it.
    reads: int
    #: On the clock, and of processors.
    seconds: float
    cpu_seconds: float
    #: The process's largest resident size.
    memory_bytes: int
    nice: int
    #: What looked wrong in one read and not in another.
    dropped: int
    #: What looked wrong in every read, and never the same: not findings.
    unsettled: int


@dataclass(frozen=True)
class LogRecord:
    """A record of the kernel's log that speaks of pages."""

    #: Seconds since boot.
    time: float
    text: str
    kind: str
    pfn: Optional[int]


@dataclass(frozen=True)
class Memory:
    """The machine's memory, in pages."""

    sections: int
    sections_online: int
    pages: int
    zones: Tuple[Mapping[str, Any], ...]
    pgmaps: Tuple[Mapping[str, Any], ...]

    def to_json(self) -> "dict[str, Any]":
        return {
            "sections": self.sections,
            "sections_online": self.sections_online,
            "pages": self.pages,
            "zones": [dict(zone) for zone in self.zones],
            "pgmaps": [dict(pgmap) for pgmap in self.pgmaps],
        }


@dataclass(frozen=True)
class Picture:
    """What every page of the machine is: what --html draws. It is not in the JSON."""

    #: What Kernel.memory() says: states of memory, zones, memory blocks, pgmaps.
    memory: Mapping[str, Any]
    #: Pages by what they are, in the order of the numbers in cells and runs.
    kinds: Mapping[str, int]
    #: Pages that have PG_hwpoison.
    poisoned: int
    cell_pages: int
    #: Number, cells and runs of each section that anything is known of, as
    #: csrc/census/picture.h has them.
    sections: Sequence[Tuple[int, bytes, bytes]]
    #: Virtual address of pfn 0's struct page, and bytes of each.
    vmemmap: int
    page_struct_size: int


@dataclass(frozen=True)
class CheckResult:
    """What one check did."""

    id: str
    #: One of STATUSES.
    status: str
    reason: Optional[str]
    #: Things looked at, in the check's own unit.
    examined: int
    seconds: float


@dataclass(frozen=True)
class CensusPart:
    """What one part of the census, or one kind of holder, came to."""

    name: str
    #: Slots that name pages.
    references: int
    #: Structures that could not be read.
    unreadable: int
    seconds: float


Evidence = Union[int, str]


@dataclass(frozen=True)
class Finding:
    """One defect, or (severity "info") something worth knowing."""

    #: The check's id.
    check: str
    #: One of SEVERITIES.
    severity: str
    #: The range [pfn, pfn_end), or None where it is about no pages.
    pfn: Optional[int]
    pfn_end: Optional[int]
    #: Of the first page's struct page.
    page_address: Optional[int]
    summary: str
    evidence: Mapping[str, Evidence]
    _prog: Optional[drgn.Program] = field(default=None, compare=False, repr=False)

    @property
    def page(self) -> Optional[drgn.Object]:
        """The first page, as a ``struct page *`` of the audited Program.

        None where the finding is about no pages, or the report was not made
        from a Program. Raises LookupError if the Program has no debugging
        information for struct page.
        """
        if self._prog is None or self.page_address is None:
            return None
        import drgn

        return drgn.Object(self._prog, "struct page *", value=self.page_address)

    def to_json(self) -> "dict[str, Any]":
        return {
            "check": self.check,
            "severity": self.severity,
            "pfn": self.pfn,
            "pfn_end": self.pfn_end,
            "page": hex_address(self.page_address),
            "summary": self.summary,
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True)
class Report:
    """Everything that one audit says."""

    tool: Tool
    target: Target
    log: Tuple[LogRecord, ...]
    memory: Memory
    #: Pages and references, read, found and explained: counts by name.
    coverage: Mapping[str, int]
    #: In the order in which they are built.
    census: Tuple[CensusPart, ...]
    checks: Tuple[CheckResult, ...]
    #: Worst first, then by check and pfn.
    findings: Tuple[Finding, ...]
    #: Poisoned pages by pfn: each has "pfn", "place", "handling", and what the log says of it.
    poisoned: Tuple[Mapping[str, Any], ...] = ()
    #: Tasks that go through memory by pfn: each has "task", "pid", "walk", and where it is.
    walkers: Tuple[Mapping[str, Any], ...] = ()
    #: None for dumps.
    live: Optional[LiveRun] = None
    #: Only where it was asked for.
    picture: Optional[Picture] = field(default=None, compare=False, repr=False)

    def count(self, severity: str) -> int:
        """How many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def exit_status(self) -> ExitStatus:
        """What the command returns for this report."""
        if self.count("bug") or self.count("suspect"):
            return ExitStatus.FOUND
        if any(c.status in ("partial", "skipped", "failed") for c in self.checks):
            return ExitStatus.PARTIAL
        return ExitStatus.CLEAN

    def to_json(self) -> "dict[str, Any]":
        """The report as JSON has it (docs/report.rst)."""
        return {
            "schema": SCHEMA,
            "tool": asdict(self.tool),
            "target": self.target.to_json(),
            "log": [asdict(record) for record in self.log],
            "memory": self.memory.to_json(),
            "coverage": dict(self.coverage),
            "census": [asdict(part) for part in self.census],
            "checks": [asdict(check) for check in self.checks],
            "findings": [finding.to_json() for finding in self.findings],
            "poisoned": [dict(page) for page in self.poisoned],
            "walkers": [dict(walker) for walker in self.walkers],
            "live": asdict(self.live) if self.live else None,
        }

    def dumps(self) -> str:
        """The report as JSON text."""
        return json.dumps(self.to_json(), indent=2) + "\n"


def sort_findings(findings: Sequence[Finding]) -> Tuple[Finding, ...]:
    """Worst first, then by check and pfn."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                SEVERITIES.index(f.severity),
                f.check,
                -1 if f.pfn is None else f.pfn,
            ),
        )
    )
