# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tests that feed files of our own making to the core once more, with
the core built under AddressSanitizer and UBSan.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["test_binding.py", "test_cli.py", "test_shipped.py"]


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="this is that run")
def test_under_sanitizers() -> None:
    package = ROOT / "build" / "sanitize"
    environment = {**os.environ, "PAGEAUDIT_SANITIZE": "1", "PAGEAUDIT_WERROR": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "-q", "build", "--build-lib", str(package)],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    cc = shlex.split(os.environ.get("CC", "cc"))
    libraries = [
        subprocess.run(
            [*cc, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment.update(
        LD_PRELOAD=":".join(libraries),
        # The interpreter leaks by design; tests of C alone look for leaks.
        ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1",
        UBSAN_OPTIONS="print_stacktrace=1",
        PYTHONPATH=str(package),
        PYTHONMALLOC="malloc",
    )
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
