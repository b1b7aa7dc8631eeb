# SPDX-License-Identifier: LGPL-2.1-or-later
"""Audits of real dumps whose kernel has gone mad: tests/c/fuzz_audit.c, built and run."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from lab import make

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "tests" / "c" / "fuzz_audit.c"

#: Kernel and recipe: device memory, hot-plugged memory, optimised huge pages.
DUMPS = (("v5.10", "light"), ("v6.1", "hvo"), ("v6.12", "hotplug"), ("v7", "pmem"))
#: Kernels that do not tell of their own types and symbols.
WITHOUT_TYPES = ("v5.10",)


def program() -> Path:
    """The fuzzer, with all of csrc/ but the binding, under AddressSanitizer and UBSan."""
    spec = importlib.util.spec_from_file_location("pageaudit_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    out = ROOT / "build" / "obj" / "c-tests"
    tools = setup.Toolchain(out, sanitize=True)
    tools.cflags += ["-Werror", f"-I{SOURCE.parent}"]
    objects = tools.compile([*setup.core_sources(), SOURCE])
    result = objects[-1].with_suffix("")
    newest = max(path.stat().st_mtime_ns for path in objects)
    if not result.exists() or result.stat().st_mtime_ns < newest:
        tools.link(result, objects)
    return Path(result)


def fuzz(fuzzer: Path, dump: make.Dump, *options: str) -> "subprocess.CompletedProcess[str]":
    """Change DUMP's memory and audit it, many times over."""
    command = [str(fuzzer), *options, str(dump.vmcore)]
    if dump.kernel.key in WITHOUT_TYPES:
        command.append(str(dump.vmlinux))
    return subprocess.run(
        command,
        env={
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def fuzz_for(fuzzer: Path, dump: make.Dump, seconds: float, seed: int, options: "list[str]") -> int:
    """The same for so long, going on behind what fails; returns how often that was."""
    end = time.monotonic() + seconds
    failures = 0
    while (left := end - time.monotonic()) > 0:
        done = fuzz(fuzzer, dump, "-s", str(seed), "-t", f"{left:.1f}", *options)
        print(done.stdout, end="", flush=True)
        if done.returncode == 0:
            break
        failures += 1
        told = re.findall(r"in round: -s (\d+)", done.stdout)
        if not told:
            break
        seed = int(told[-1]) + 1
    return failures


def main() -> int:
    """Fuzz the audits of some dumps for a while."""
    parser = argparse.ArgumentParser(prog="scripts/soak-hostile", description=main.__doc__)
    parser.add_argument(
        "dumps",
        nargs="*",
        metavar="KERNEL-RECIPE",
        default=["-".join(names) for names in DUMPS],
        help="dumps of the lab (default: %(default)s)",
    )
    parser.add_argument("--seconds", type=float, default=600, help="for each (%(default)g)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    parser.add_argument("--threads", type=int, default=1, help="that audit (%(default)d)")
    parser.add_argument("--only", choices=["memory", "text", "types"], help="what to change")
    args = parser.parse_args()
    fuzzer = program()
    failures = 0
    for name in args.dumps:
        kernel, recipe = name.split("-", 1)
        options = ["-j", str(args.threads)]
        if args.only:
            options += ["-o", args.only]
        print(f"== {name}, from seed {args.seed}", flush=True)
        failures += fuzz_for(
            fuzzer, make.dump(kernel, recipe), args.seconds, args.seed * 1_000_000, options
        )
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
