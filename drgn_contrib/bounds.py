# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an audit of a running machine may cost it."""

from __future__ import annotations

import os
import resource


def be_nice(nice: int) -> None:
    """Let everybody else go first, unless we are nicer already."""
    if nice > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def bound_memory(max_bytes: int) -> None:
    """Let allocations beyond so much fail, as if the machine had no more.

    It counts what is ours alone and can be written to (RLIMIT_DATA): not files that are
    mapped, whose pages the machine can take back.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        max_bytes = min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, hard))
