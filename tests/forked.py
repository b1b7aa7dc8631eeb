# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command in a process of its own, as quick as no new interpreter is.

Forked off a server that never ran anything: where drgn was used before a fork, the
threads of its OpenMP are missing after it, and it waits for them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from pathlib import Path

_SECONDS = 60

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "forked", "drgn_contrib.cli"])


def _child(arguments: "list[str]", output: Path) -> None:
    from drgn_contrib import cli

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(file, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    status = 99
    try:
        status = cli.main(arguments)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def run_forked(arguments: "list[str]", output: Path) -> int:
    """The exit status, or the negated signal; standard error is in a file."""
    child = _context.Process(target=_child, args=(arguments, output))
    child.start()
    child.join(_SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode is not None
    return child.exitcode
