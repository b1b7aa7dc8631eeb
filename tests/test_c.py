# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the C tests of tests/c/ under AddressSanitizer and UBSan.

Each is a program of its own (tests/c/check.h), linked with all of csrc/ but
the binding.
"""

import os
import subprocess
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = sorted((ROOT / "tests" / "c").glob("test_*.c"))


@pytest.fixture(scope="module")
def programs(build: types.ModuleType) -> "dict[str, Path]":
    """Every test program, by name, built at once."""
    out = ROOT / "build" / "obj" / "c-tests"
    tools = build.Toolchain(out, sanitize=True)
    tools.cflags += ["-Werror", f"-I{ROOT / 'tests' / 'c'}"]
    objects = tools.compile([*build.core_sources(), *TESTS])
    nr_tests = len(TESTS)
    core, mains = objects[:-nr_tests], objects[-nr_tests:]
    archive = out / "libpageaudit.a"
    tools.archive(archive, core)
    result = {}
    for main in mains:
        program = main.with_suffix("")
        newest = max(p.stat().st_mtime_ns for p in [main, *core])
        if not program.exists() or program.stat().st_mtime_ns < newest:
            tools.link(program, [main, archive])
        result[main.stem] = program
    return result


@pytest.mark.parametrize("name", [path.stem for path in TESTS])
def test_c(programs: "dict[str, Path]", name: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    done = subprocess.run(
        [str(programs[name])],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
