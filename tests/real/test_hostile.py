# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real kernels gone mad, a few hundred times: scripts/soak-hostile does more of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import hostile, make

ROUNDS = 120


@pytest.fixture(scope="module")
def fuzzer() -> Path:
    return hostile.program()


@pytest.mark.parametrize("names", hostile.DUMPS, ids="-".join)
def test_ends_in_a_report_or_a_sentence(fuzzer: Path, names: "tuple[str, str]") -> None:
    done = hostile.fuzz(fuzzer, make.dump(*names), "-s", "1", "-n", str(ROUNDS))
    assert done.returncode == 0, done.stdout
