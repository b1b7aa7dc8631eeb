# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a live audit costs the machine that it runs on: time beside a vmcore's, and latency.

All of it is measured in a guest: audits of the running kernel and of its own memory as a
vmcore; and how late a real-time task is woken while the machine is idle, while dd reads
as many bytes of /proc/kcore as the audit, and while the audit runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Sequence

from . import initramfs, kernels, live
from .run import LabError
from .soak_live import REST

#: How often the real-time task wants to run.
PERIOD_MICROSECONDS = 2000
IDLE_SECONDS = 20
PARTS = ("50", "90", "99", "99.9", "100")
AUDIT = "pageaudit --live --no-progress --json /run/live.json >/run/live.txt"
VMCORE = "/mnt/disk/vmcore"
# As the live audit is, by itself.
NICE = "renice 10 -p $$"


@dataclass(frozen=True)
class Measured:
    """A shell command that ran beside the real-time task."""

    seconds: float
    #: Read by it, as the kernel counts (rchar).
    read_bytes: int
    #: Percentiles in microseconds, of so many samples.
    late: "dict[str, int]"


def measure(guest: live.LiveGuest, command: str) -> Measured:
    """Run a command in the guest beside the real-time task."""
    script = (
        f"guest latency {PERIOD_MICROSECONDS} >/run/late & late=$!; sleep 1; "
        f"up() {{ cut -d ' ' -f 1 /proc/uptime; }}; begin=$(up); "
        f"sh -c '{command}; echo status $? >/run/status; grep rchar /proc/$$/io' "
        "2>/run/err | grep rchar; echo from $begin to $(up); "
        "kill $late; wait $late; cat /run/late /run/status"
    )
    answer = guest.command("sh", "-c", script)
    times = re.search(r"from (\S+) to (\S+)", answer.out)
    read = re.search(r"rchar: (\d+)", answer.out)
    late = re.search(r"^\{.*\}$", answer.out, re.M)
    if not times or not late or not read:
        raise LabError(f"in the guest, {command!r} said {answer.out!r} {answer.err!r}")
    return Measured(float(times[2]) - float(times[1]), int(read[1]), json.loads(late[0]))


def _direct_map(guest: live.LiveGuest) -> int:
    """Where /proc/kcore has the most of RAM."""
    script = (
        "import struct, os; f = os.open('/proc/kcore', 0); e = os.pread(f, 64, 0); "
        "off, n = struct.unpack_from('<Q', e, 32)[0], struct.unpack_from('<H', e, 56)[0]; "
        "h = [struct.unpack('<IIQQQQQQ', os.pread(f, 56, off + 56 * i)) for i in range(n)]; "
        "print(max((p[5], p[2]) for p in h if p[0] == 1 and p[4] < 1 << 52)[1])"
    )
    return int(guest.command("python", "-c", script).out)


def costs(guest: live.LiveGuest, rounds: int) -> "dict[str, Any]":
    """Everything that is measured, medians of so many rounds."""
    offset = _direct_map(guest)
    guest.command("sh", "-c", "mke2fs -b 4096 /dev/nvme0n1 >/dev/null 2>&1; mkdir -p /mnt/disk")
    guest.command("mount", "-t", "ext4", "/dev/nvme0n1", "/mnt/disk")
    guest.command("python", "/kcore_copy.py", VMCORE)
    runs: "dict[str, list[Measured]]" = {"idle": [], "dd": [], "live": [], "vmcore": []}
    reports = []
    for _ in range(rounds):
        runs["idle"].append(measure(guest, f"sleep {IDLE_SECONDS}"))
        runs["live"].append(measure(guest, AUDIT))
        reports.append(json.loads(guest.command("cat", "/run/live.json").out))
        pieces = max(runs["live"][-1].read_bytes >> 20, 1)
        # Of what there is, as often as it takes.
        dd = f"dd if=/proc/kcore of=/dev/null bs=1M skip={offset} iflag=skip_bytes"
        times, rest = divmod(pieces, 512)
        loop = f"for i in $(seq {times}); do {dd} count=512; done; {dd} count={rest}"
        runs["dd"].append(measure(guest, f"{NICE}; {loop}"))
        vmcore = f"pageaudit {VMCORE} --no-progress --json /run/v.json >/run/v.txt"
        runs["vmcore"].append(measure(guest, f"{NICE}; {vmcore}"))
    return {"runs": runs, "live": [report["live"] for report in reports]}


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def table(result: "dict[str, Any]") -> Iterator[str]:
    """What was measured, and its ratios."""
    runs: "dict[str, list[Measured]]" = result["runs"]
    seconds = {name: _median([m.seconds for m in each]) for name, each in runs.items()}
    yield f"{'':10}{'seconds':>9}{'MB read':>9}" + "".join(f"{f'{p} %':>9}" for p in PARTS)
    late = {
        name: {part: _median([m.late[part] for m in each]) for part in PARTS}
        for name, each in runs.items()
    }
    for name, each in runs.items():
        megabytes = _median([m.read_bytes for m in each]) / 1e6
        yield f"{name:10}{seconds[name]:9.1f}{megabytes:9.0f}" + "".join(
            f"{late[name][part]:9.0f}" for part in PARTS
        )
    for name, other in ("live", "dd"), ("live", "idle"), ("vmcore", "idle"):
        ratios = (late[name][part] / max(late[other][part], 1) for part in PARTS)
        yield f"{f'{name} / {other}':28}" + "".join(f"{ratio:9.2f}" for ratio in ratios)
    yield f"live / vmcore, seconds: {seconds['live'] / seconds['vmcore']:.2f}"
    for cost in result["live"]:
        yield f"live: {cost}"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench-live", description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="?", default="v6.12", help="default: v6.12")
    parser.add_argument("-n", type=int, default=3, help="rounds (default: 3)")
    args = parser.parse_args(argv)
    files = {"kcore_copy.py": (initramfs.GUEST_DIR / "kcore_copy.py").read_bytes()}
    try:
        with live.guest(kernels.fetch(args.kernel), REST, files=files) as guest:
            print("\n".join(table(costs(guest, args.n))))
    except LabError as error:
        print(f"bench-live: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
