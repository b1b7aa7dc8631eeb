# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests can be listed on any machine: only those on real dumps need the lab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_collecting_needs_no_lab(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PAGEAUDIT_LAB": str(tmp_path / "lab")},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "test_healthy[v5.10-light]" in done.stdout
    assert not (tmp_path / "lab").exists()
