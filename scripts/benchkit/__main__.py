# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark's command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any, Dict, Sequence

import lab

from benchkit import figures, measure, native
from benchkit.measure import KERNEL, RECIPE
from benchkit.subject import Subject


def _machine(threads: int) -> Dict[str, Any]:
    """What was measured on, and beside what else."""
    model = ""
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model or platform.machine(),
        "processors": os.cpu_count(),
        "threads": threads,
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure pageaudit on the lab's large dump, beside its targets.",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE (-: stdout)")
    parser.add_argument(
        "--only",
        metavar="GROUP,...",
        default=",".join(measure.GROUPS),
        help="of " + ", ".join(measure.GROUPS),
    )
    parser.add_argument("--times", metavar="N", type=int, default=3, help="medians are of N runs")
    parser.add_argument(
        "-j", "--threads", metavar="N", type=int, default=len(os.sched_getaffinity(0))
    )
    options = parser.parse_args(argv)
    options.only = options.only.split(",")
    for name in options.only:
        if name not in measure.GROUPS:
            parser.error(f"there is no group {name!r}")
    if options.times < 1 or options.threads < 1:
        parser.error("--times and --threads are at least 1")
    return options


def main(argv: Sequence[str]) -> int:
    options = _arguments(argv)
    machine = _machine(options.threads)
    groups = []
    try:
        bench = measure.Bench(
            subject=Subject(lab.dump(KERNEL, RECIPE)),
            programs=native.build(),
            threads=options.threads,
            times=options.times,
        )
        for name in options.only:
            begun = time.monotonic()
            groups.append(measure.GROUPS[name](bench))
            print(f"bench: {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    except (lab.LabError, native.NativeError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    release = bench.subject.dump.meta["release"]
    data = {
        "machine": machine,
        "dump": {"kernel": KERNEL, "recipe": RECIPE, "release": release},
        "groups": [group.to_json() for group in groups],
    }
    if options.json == "-":
        print(json.dumps(data, indent=2))
        return 0
    if options.json:
        with open(options.json, "w") as file:
            json.dump(data, file, indent=2)
    words = f"{machine['processor']}, {machine['processors']} processors, "
    words += f"load {machine['load']:.1f} at the start; {release}, {RECIPE}"
    print(words + "\n\n" + figures.table(groups), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
