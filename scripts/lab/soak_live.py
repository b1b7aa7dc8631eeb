# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests under a storm that audit themselves while it lasts: a hunt for false alarms of --live.

What an audit says above info of a healthy kernel is kept, with the guest's memory at that
instant, for a person to understand. A guest at rest is compared with what its kernel says.
"""

from __future__ import annotations

import argparse
import array
import base64
import json
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from . import kernels, live, page_flags
from .paths import made_dir
from .qemu import Hardware
from .run import LabError, say
from .soak import GUEST_CMDLINE, MAIN_KERNELS, MIXES, MODULES

#: A guest at rest, with a bit of everything; then what storms.
QUIET = "quiet"
REST = ("guest anon 16", "guest thp 32", "guest forks 2 4", "guest file /tmp/file 8", "rest")
MIXES_LIVE = (QUIET, *MIXES)
HARDWARE = Hardware(memory_mib=896)
WARM_UP = 5.0
# The audit's Python is there before; it must not wait for its own pages to come back from
# swap, so that the storm is over a part of the memory.
STORM = (
    "exec </dev/null >/dev/null 2>&1; echo 0 >/proc/self/oom_score_adj; renice 0 -p $$; "
    ". /pieces.sh; . /storm.sh; STORM_MIB=384; storm {}"
)
#: Before all others on one processor: the other one is the storm's.
AUDIT = ("--live", "--nice=-20", "-j", "1", "--json", "-")
#: Of pages that the kernel says nothing else of before and after, so many may differ: they
#: changed, and back.
CHANGED_AND_BACK = 8
#: So many pages CPUs may not have added up yet, or the reader take.
FREE_PAGES = 512


def begin_storm(guest: live.LiveGuest, kinds: Sequence[str]) -> None:
    """Let a guest storm from now on."""
    answer = guest.command("sh", "-c", STORM.format(" ".join(kinds)))
    if answer.status:
        raise LabError(f"the storm of {' '.join(kinds)} did not begin")
    time.sleep(WARM_UP)


@dataclass(frozen=True)
class Run:
    """One live audit."""

    kernel: str
    mix: str
    number: int
    seconds: float
    report: "dict[str, Any]"
    trouble: str = ""

    @property
    def above_info(self) -> "list[dict[str, Any]]":
        """What must not be there."""
        return [f for f in self.report.get("findings", ()) if f["severity"] != "info"]

    @property
    def clean(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.trouble and not self.above_info

    @property
    def partial(self) -> "dict[str, str]":
        """Checks that could not judge what moved, and why not."""
        checks = self.report.get("checks", ())
        return {
            c["id"]: c["reason"] for c in checks if c["status"] not in ("ran", "not-applicable")
        }

    def lines(self) -> Iterator[str]:
        """What there is to see."""
        if self.trouble:
            yield self.trouble
        if self.report:
            cost = self.report["live"]
            yield (
                f"{cost['reads']} reads in {cost['seconds']:.1f} s, {cost['cpu_seconds']:.1f} s "
                f"of processor, {cost['memory_bytes'] >> 20} MiB; {cost['dropped']} dropped, "
                f"{cost['unsettled']} unsettled"
            )
        for check, reason in self.partial.items():
            yield f"partial: {check}: {reason}"
        for found in self.above_info:
            yield f"{found['severity']}: {found['check']} at {found['pfn']}: {found['summary']}"


@dataclass
class Soak:
    """Guests of one kernel that audit themselves."""

    kernel: kernels.Kernel
    hardware: Hardware = HARDWARE
    keep: int = 4
    done: "list[Run]" = field(default_factory=list)

    def storm(self, mix: str, count: int) -> None:
        """Boot a guest, let it storm, and let it audit itself so many times.

        A guest that dies of its storm is followed by another.
        """
        left = count
        for _ in range(3):
            try:
                self._boot(mix, left)
            except LabError as error:
                say(f"{self.kernel.key} {mix}: {error}")
            left = count - sum(r.mix == mix and r.kernel == self.kernel.key for r in self.done)
            if left <= 0:
                return
        raise LabError(f"{self.kernel.key} {mix}: {left} audits could not be done")

    def _boot(self, mix: str, count: int) -> None:
        pieces = REST if mix == QUIET else ()
        with live.guest(
            self.kernel,
            pieces,
            modules=MODULES,
            cmdline=GUEST_CMDLINE,
            hardware=replace(self.hardware, nodes=2 if "nodes" in MIXES.get(mix, ()) else 1),
        ) as guest:
            if mix != QUIET:
                begin_storm(guest, MIXES[mix])
            for _ in range(count):
                self._audit(guest, mix)

    def _audit(self, guest: live.LiveGuest, mix: str) -> None:
        begun = time.monotonic()
        try:
            answer = guest.pageaudit(*AUDIT)
        except LabError:
            # It hangs, or the guest died: see where.
            self._keep_memory(guest, made_dir("soak-live", f"{self.kernel.key}-{mix}-hangs"))
            raise
        seconds = time.monotonic() - begun
        trouble, report = "", {}
        if answer.out:
            report = answer.report
        else:
            trouble = (answer.err.strip() or f"status {answer.status}").splitlines()[-1]
        if not trouble and mix == QUIET:
            trouble = "; ".join(disagreements(guest.truth()))
        run = Run(self.kernel.key, mix, len(self.done) + 1, seconds, report, trouble)
        self.done.append(run)
        name = f"{run.kernel}-{mix}-{run.number}"
        for line in run.lines():
            print(f"  {name}: {line}", flush=True)
        if not run.clean:
            self._keep(guest, run, name)

    def _keep(self, guest: live.LiveGuest, run: Run, name: str) -> None:
        kept = made_dir("soak-live", name)
        (kept / "report.json").write_text(json.dumps(run.report, indent=1))
        self._keep_memory(guest, kept)

    def _keep_memory(self, guest: live.LiveGuest, kept: Path) -> None:
        (kept / "console.log").write_text(guest.machine.console_text())
        if self.keep <= 0 or guest.machine.process.poll() is not None:
            return
        self.keep -= 1
        with guest.stopped():
            guest.vmcore(kept / "vmcore.elf")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


@dataclass
class Truth:
    """What the guest's kernel said of its pages: before, between and after two readings."""

    flags: "list[array.array[int]]"
    counts: "list[array.array[int]]"

    def still(self, pfn: int) -> bool:
        """Whether it said the same of a page each time."""
        if pfn >= len(self.flags[0]):
            return False
        return len({f[pfn] for f in self.flags}) == len({c[pfn] for c in self.counts}) == 1


def disagreements(told: "dict[str, Any]") -> Iterator[str]:
    """Where what pageaudit read twice is not what the kernel said all the time."""
    truth = Truth(
        *(
            [array.array("Q", _unpacked(each[name])) for each in told["told"]]
            for name in ("kpageflags", "kpagecount")
        )
    )
    names = {value: name for name, value in told["class_names"].items()}
    size, compared, wrong = told["section_pages"], 0, Counter[Any]()
    first, second = told["classes"]
    for nr in first:
        classes = bytearray(_unpacked(first[nr]))
        start = int(nr) * size
        for i, again in enumerate(_unpacked(second[nr])):
            if (
                start + i >= len(truth.flags[0])
                or again != classes[i]
                or not truth.still(start + i)
            ):
                classes[i] = told["class_names"]["not-memory"]
        pages, differ = page_flags.differing(names, bytes(classes), truth.flags[0][start:])
        compared += pages
        wrong.update(differ)
    if compared < len(truth.flags[0]) // 2:
        yield f"only {compared} pages could be compared"
    if sum(wrong.values()) > CHANGED_AND_BACK:
        yield f"classes of pages differ from kpageflags: {dict(wrong)}"
    yield from _page_disagreements(told["pages"], truth)
    yield from _zone_disagreements(told)


def _page_disagreements(pages: "Sequence[dict[str, Any]]", truth: Truth) -> Iterator[str]:
    differ = []
    for page in pages:
        pfn = page["pfn"]
        if not truth.still(pfn) or page["tail"]:
            continue
        differ += [(pfn, name) for name in page_flags.plain_flags(page, truth.flags[0][pfn])]
        plain = page["type"] == "none" and "head" not in page["flag_names"].split("|")
        if plain and page["mapcount"] != truth.counts[0][pfn]:
            differ.append((pfn, "mapcount"))
    if len({pfn for pfn, _ in differ}) > CHANGED_AND_BACK:
        yield f"pages differ from kpageflags and kpagecount: {differ}"


def _zone_disagreements(told: "dict[str, Any]") -> Iterator[str]:
    before, after = map(page_flags.zones, told["zoneinfo"])
    for zone in told["zones"]:
        one, other = before[zone["name"]], after[zone["name"]]
        for name in "spanned", "present", "managed", "start_pfn":
            if name in one and not one[name] == other[name] == zone[name]:
                yield f"zone {zone['name']}: {name} is {zone[name]}, zoneinfo has {one[name]}"
        low, high = sorted((one["free"], other["free"]))
        if not low - FREE_PAGES <= zone["free"] <= high + FREE_PAGES:
            yield f"zone {zone['name']}: free is {zone['free']}, zoneinfo has {low} to {high}"


def table(runs: Sequence[Run]) -> Iterator[str]:
    """A line a kernel and mix."""
    yield (
        f"{'kernel':8}{'mix':9}{'audits':>7}{'clean':>7}{'above info':>12}{'partial':>9}"
        f"{'reads':>7}{'seconds':>9}{'dropped':>9}"
    )
    for kernel, mix in dict.fromkeys((r.kernel, r.mix) for r in runs):
        mine = [r for r in runs if (r.kernel, r.mix) == (kernel, mix)]
        costs = [r.report["live"] for r in mine if r.report]
        least = max(len(costs), 1)
        yield (
            f"{kernel:8}{mix:9}{len(mine):7}{sum(r.clean for r in mine):7}"
            f"{sum(len(r.above_info) for r in mine):12}{sum(bool(r.partial) for r in mine):9}"
            f"{sum(c['reads'] for c in costs) / least:7.1f}"
            f"{sum(r.seconds for r in mine) / len(mine):9.1f}"
            f"{sum(c['dropped'] for c in costs) / least:9.0f}"
        )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Soak; status 1 where something is to be looked at."""
    parser = argparse.ArgumentParser(prog="scripts/soak-live", description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*", help="keys; the four main ones when left out")
    parser.add_argument("-n", type=int, default=50, help="audits a kernel and mix (default: 50)")
    parser.add_argument(
        "--mix", action="append", choices=MIXES_LIVE, help="default: quiet, counts and all"
    )
    parser.add_argument("--memory", type=int, default=HARDWARE.memory_mib, help="MiB of a guest")
    parser.add_argument("--keep", type=int, default=4, help="memory of guests to keep a kernel")
    args = parser.parse_args(argv)
    runs: "list[Run]" = []
    try:
        for key in args.kernel or MAIN_KERNELS:
            soak = Soak(kernels.fetch(key), Hardware(memory_mib=args.memory), args.keep, runs)
            for mix in args.mix or (QUIET, "counts", "all"):
                soak.storm(mix, args.n)
    except LabError as error:
        print(f"soak-live: {error}", file=sys.stderr)
        return 2
    finally:
        print("\n".join(table(runs)))
    return 0 if all(r.clean for r in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
