# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests under a storm, stopped at random instants and audited: a hunt for false alarms.

A healthy kernel in the middle of something must not look broken. What an audit says above
info of such a dump is kept with the dump, for a person to understand.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Optional, Sequence

from drgn_contrib import report as reports
from drgn_contrib import run, target

from . import elfcore, initramfs, kernels, makedump
from .instants import FUNCTIONS, Breakpoints
from .make import CMDLINE, SILENCE_SECONDS
from .paths import lab_dir, lock, made_dir
from .qemu import Hardware, Machine
from .run import LabError, say

MAIN_KERNELS = ("v5.10", "v6.1", "v6.12", "v7")
MODULES = ("zram", "lzo_rle")

# What storms together; one mix after the other, a boot each.
MIXES: dict[str, tuple[str, ...]] = {
    "all": ("thp", "cache", "reclaim", "compact", "hugetlb", "cgroups", "blocks"),
    "blocks": ("thp", "compact", "blocks", "hugetlb"),
    "reclaim": ("cache", "reclaim", "cgroups"),
    "thp": ("thp", "compact", "poison"),
    "nodes": ("thp", "cache", "reclaim", "compact", "nodes"),
    "counts": ("thp", "tasks", "cache", "reclaim", "compact", "lent", "hugetlb", "blocks"),
}
HARDWARE = Hardware(memory_mib=896, nodes=2)
GUEST_CMDLINE = "movablecore=384M"
# Each mix storms under both: the kernel's own way, and (where it was built so that it can)
# preempting itself wherever it may, so that many tasks are in the middle of something.
PREEMPTION = ("", "preempt=full")
# Between the begin of the storm and the first stop, and between two, in seconds of the guest.
WARM_UP = 8.0
PAUSE = (0.05, 0.5)


@dataclass(frozen=True)
class Instant:
    """One stop of a guest."""

    kernel: str
    mix: str
    seed: int
    number: int
    seconds: float
    report: Optional[reports.Report]
    # Why there is no report, or why the forms of the dump differ.
    trouble: str = ""

    @property
    def name(self) -> str:
        """Of its directory, if it is kept."""
        return f"{self.kernel}-{self.mix}-{self.seed}-{self.number}"

    @property
    def clean(self) -> bool:
        """Whether there is nothing to look at."""
        return (
            not self.trouble
            and self.report is not None
            and self.report.exit_status == reports.ExitStatus.CLEAN
        )

    @property
    def unexplained(self) -> int:
        """References that no holder accounts for: of pages that somebody has in hand."""
        coverage = self.report.coverage if self.report else {}
        return coverage.get("references_found", 0) - coverage.get("references_explained", 0)

    @property
    def explained(self) -> float:
        """Percent of the references found."""
        found = self.report.coverage.get("references_found", 0) if self.report else 0
        return 100.0 - 100.0 * self.unexplained / found if found else 100.0

    def lines(self) -> Iterator[str]:
        """What there is to look at."""
        if self.trouble:
            yield self.trouble.strip().splitlines()[-1]
        if self.report is None:
            return
        for check in self.report.checks:
            if check.status not in ("ran", "not-applicable"):
                yield f"{check.status}: {check.id}: {check.reason}"
        kinds = Counter(
            (f.severity, f.check, f.summary) for f in self.report.findings if f.severity != "info"
        )
        for (severity, check_id, summary), count in kinds.items():
            yield f"{severity}: {check_id}: {summary}" + (f" (x{count})" if count > 1 else "")


@dataclass
class Soak:
    """Stops guests of one kernel and audits them."""

    kernel: kernels.Kernel
    seed: int
    every_zlib: int = 0
    keep_all: bool = False
    # How many dumps to keep; of others the report is.
    keep: int = 20
    warm_up: float = WARM_UP
    options: Sequence[str] = PREEMPTION
    done: list[Instant] = field(default_factory=list)

    def storm(self, mix: str, count: int) -> None:
        """Boot guests, let them storm, and stop them so many times."""
        begun = len(self.done)
        for i, option in enumerate(self.options, start=1):
            self._storm(mix, option, begun + count * i // len(self.options))

    def _storm(self, mix: str, option: str, wanted: int) -> None:
        tries = 0
        with lock("qemu"):
            work = made_dir("soak", "work")
            while len(self.done) < wanted:
                tries += 1
                try:
                    self._boot(mix, option, wanted, work)
                except LabError as error:
                    say(f"{self.kernel.key} {mix}: {error}")
                    console = (work / "console.log").read_text(errors="replace")
                    (lab_dir() / "soak" / f"died-{self.kernel.key}-{mix}.log").write_text(console)
                    if tries >= 6:
                        raise
                    self.seed += 1
            shutil.rmtree(work)

    def _boot(self, mix: str, option: str, wanted: int, work: Path) -> None:
        chance = random.Random(f"{self.kernel.key} {mix} {self.seed}")
        with self._machine(mix, option, work) as machine:
            time.sleep(self.warm_up)
            while len(self.done) < wanted:
                time.sleep(chance.uniform(*PAUSE))
                if machine.process.poll() is not None:
                    machine.hear(0)
                self.done.append(self._stop(machine, mix, work))

    @contextlib.contextmanager
    def _machine(self, mix: str, option: str, work: Path) -> Iterator[Machine]:
        """A guest that storms."""
        recipe = f". /storm.sh\nstorm {' '.join(MIXES[mix])}\nguest host storming\n"
        recipe += "while sleep 60; do :; done\n"
        extra = {"storm.sh": (initramfs.GUEST_DIR / "storm.sh").read_bytes()}
        image = work / "initramfs"
        image.write_bytes(initramfs.build(self.kernel, recipe, "", MODULES, extra))
        cmdline = f"{CMDLINE} {GUEST_CMDLINE} {option}"
        with Machine(self.kernel, HARDWARE, image, cmdline, work) as machine:
            self._until_storm(machine)
            yield machine

    @staticmethod
    def _until_storm(machine: Machine) -> None:
        while True:
            word, _, rest = machine.hear(SILENCE_SECONDS).partition(" ")
            if word not in ("begin", "storming"):
                raise LabError(f"the guest said {word} {rest}")
            machine.say("ok")
            if word == "storming":
                return

    def stop_at_functions(self, mix: str, rounds: int = 1) -> None:
        """Boot a guest, let it storm, and stop it in each function that it may be amiss in."""
        with lock("qemu"):
            work = made_dir("soak", "work")
            self._stop_at_functions(mix, rounds, work)
            shutil.rmtree(work)

    def _stop_at_functions(self, mix: str, rounds: int, work: Path) -> None:
        with self._machine(mix, self.options[0], work) as machine:
            time.sleep(self.warm_up)
            breakpoints = Breakpoints(self.kernel, machine)
            for kind in MIXES[mix] * rounds:
                for function in FUNCTIONS.get(kind, ()):
                    for where in breakpoints.stops(function):
                        self.done.append(self._audited(machine, mix, work, where))
            breakpoints.detach()

    def _stop(self, machine: Machine, mix: str, work: Path) -> Instant:
        machine.qmp.command("stop")
        instant = self._audited(machine, mix, work)
        machine.qmp.command("cont")
        return instant

    def _audited(self, machine: Machine, mix: str, work: Path, where: str = "") -> Instant:
        number = len(self.done) + 1
        vmcore = work / "vmcore.elf"
        elfcore.write_vmcore(vmcore, machine.notes(), machine.segments(), 0)
        begun = time.monotonic()
        report, trouble = self._audit(vmcore)
        seconds = time.monotonic() - begun
        if report and self.every_zlib and number % self.every_zlib == 0:
            trouble = self._audit_zlib(vmcore, report)
        instant = Instant(self.kernel.key, mix, self.seed, number, seconds, report, trouble)
        place = f"{instant.name}: {where and where + ': '}"
        print(f"{place}{instant.unexplained} references in flight", flush=True)
        for line in instant.lines():
            print(f"  {place}{line}", flush=True)
        if self.keep_all or not instant.clean:
            kept = made_dir("soak", instant.name)
            if self.keep:
                self.keep -= 1
                vmcore.rename(kept / "vmcore.elf")
            text = trouble or ""
            if report:
                text = json.dumps(report.to_json(), indent=1)
            (kept / "report.json").write_text(text)
            (kept / "console.log").write_text(machine.console_text())
        return instant

    def _audit(self, vmcore: Path) -> tuple[Optional[reports.Report], str]:
        try:
            opened = target.open_target([str(vmcore)], [str(self.kernel.vmlinux)])
            return run.run(opened), ""
        except Exception:  # noqa: BLE001
            # Whatever it is, it is what is hunted for.
            return None, traceback.format_exc()

    def _audit_zlib(self, vmcore: Path, report: reports.Report) -> str:
        """What is different of the dump that makedumpfile makes of it."""
        dump = vmcore.with_name("vmcore.zlib")
        dump.unlink(missing_ok=True)
        makedump.filter_dump(vmcore, dump, makedump.VARIETIES["zlib"])
        other, trouble = self._audit(dump)
        if other is None:
            return trouble
        if other.coverage["kernel_pages_filtered"]:
            # It does not know this kernel, and has dropped what the checks need.
            found = [f.summary for f in other.findings if f.severity != "info"]
            return "zlib form: " + "; ".join(found) if found else ""
        differing = [
            f"{theirs.id} {theirs.status} {theirs.reason}"
            for ours, theirs in zip(report.checks, other.checks)
            if ours.status != theirs.status
        ]
        theirs = {f.summary for f in other.findings} ^ {f.summary for f in report.findings}
        if differing or theirs:
            return "zlib form: " + "; ".join([*differing, *sorted(theirs)])
        return ""


def table(instants: Sequence[Instant]) -> Iterator[str]:
    """A line a kernel and mix."""
    yield (
        f"{'kernel':8}{'mix':10}{'instants':>9}{'clean':>7}{'seconds':>9}{'longest':>9}"
        f"{'explained':>11}{'least':>9}"
    )
    for kernel, mix in dict.fromkeys((i.kernel, i.mix) for i in instants):
        mine = [i for i in instants if (i.kernel, i.mix) == (kernel, mix)]
        yield (
            f"{kernel:8}{mix:10}{len(mine):9}{sum(i.clean for i in mine):7}"
            f"{sum(i.seconds for i in mine) / len(mine):9.2f}{max(i.seconds for i in mine):9.2f}"
            f"{sum(i.explained for i in mine) / len(mine):10.3f}%"
            f"{min(i.explained for i in mine):8.3f}%"
        )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Soak; status 1 where something is to be looked at."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*", help="keys; the four main ones when left out")
    parser.add_argument("-n", type=int, default=20, help="stops a kernel and mix (default: 20)")
    parser.add_argument(
        "--functions",
        action="store_true",
        help="stop a guest of each mix in functions of its kernel, instead of at random",
    )
    parser.add_argument("--mix", action="append", choices=[*MIXES], help="default: all of them")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--zlib", type=int, default=5, help="every so manieth as kdump, too")
    parser.add_argument("--keep-all", action="store_true", help="keep dumps that are clean, too")
    parser.add_argument("--keep", type=int, default=20, help="dumps to keep a kernel")
    args = parser.parse_args(argv)
    instants: list[Instant] = []
    try:
        for key in args.kernel or MAIN_KERNELS:
            soak = Soak(
                kernels.fetch(key), args.seed, args.zlib, args.keep_all, args.keep, done=instants
            )
            for mix in args.mix or MIXES:
                if args.functions:
                    soak.stop_at_functions(mix)
                else:
                    soak.storm(mix, args.n)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    finally:
        print("\n".join(table(instants)))
    return 0 if all(i.clean for i in instants) else 1
