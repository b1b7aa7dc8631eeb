# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running commands, and the one exception that the lab reports to its user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Mapping, Optional, Sequence


class LabError(Exception):
    """The lab cannot do what was asked; the message says why in one sentence."""


def say(text: str) -> None:
    """Tell the user, on standard error, what takes the time."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def tool(name: str, package: str) -> str:
    """The path of a command, or a LabError that names the Debian package it is in."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise LabError(f"{name} is missing: apt-get install {package}")
    return found


def run(
    argv: Sequence[str],
    *,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    tries: int = 1,
) -> str:
    """Run a command and return its standard output; retry it where that may help."""
    full_env = {**os.environ, **(env or {})}
    for left in reversed(range(tries)):
        done = subprocess.run(
            argv,
            env=full_env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        if left:
            say(f"{argv[0]} failed with {done.returncode}, trying again")
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    raise LabError(f"{' '.join(argv[:3])} ... failed ({done.returncode}): {' / '.join(lines[-4:])}")
