# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest under a storm, stopped at random: a sample of what scripts/soak does at length."""

from __future__ import annotations

import pytest
from lab import kernels
from lab.soak import Instant, Soak, table


def test_healthy_kernel_in_the_middle_of_something() -> None:
    """The newest, which preempts itself: many tasks are in the middle of something."""
    soak = Soak(kernels.fetch("v7"), seed=1, every_zlib=2, warm_up=3, options=["preempt=full"])
    soak.storm("all", 2)
    assert [line for instant in soak.done for line in instant.lines()] == []
    assert all(instant.clean for instant in soak.done)
    assert "v7      all               2      2" in "\n".join(table(soak.done))


@pytest.mark.parametrize("trouble", ["", "Traceback:\nKeyError: 'x'"])
def test_dump_that_cannot_be_audited(trouble: str) -> None:
    instant = Instant("v7", "all", 1, 3, 0.1, None, trouble)
    assert not instant.clean
    assert list(instant.lines()) == trouble.splitlines()[-1:]
