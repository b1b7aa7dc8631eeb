# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the lab keeps what it makes, and the locks that guard it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Iterator


def lab_dir() -> Path:
    """The lab's cache: $PAGEAUDIT_LAB, or pageaudit/lab under the user's cache."""
    lab = os.environ.get("PAGEAUDIT_LAB")
    if lab:
        return Path(lab)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "pageaudit" / "lab"


def made_dir(*parts: str) -> Path:
    """A directory below lab_dir(), made if it does not exist."""
    path = lab_dir().joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lab's lock of that name: between processes and between threads."""
    with open(made_dir("locks") / (name + ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
