# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guests do before they are dumped: kernel x pieces x command line x hardware.

A piece is a line that the guest's shell runs (guest/pieces.sh, or the guest program).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .kernels import Kernel
from .qemu import Hardware
from .run import LabError


@dataclass(frozen=True)
class Recipe:
    """One way to make a dump."""

    name: str
    what: str
    pieces: Callable[[Kernel], list[str]]
    hardware: Hardware = Hardware()
    cmdline: str = ""
    modules: tuple[str, ...] = ()
    # /proc/kpageflags and kpagecount for every pfn: not for large machines.
    truth_pages: bool = True
    applies: Callable[[Kernel], bool] = lambda kernel: True
    # More files of the guest, by path.
    extra: Callable[[Kernel], dict[str, bytes]] = lambda kernel: {}


def _light(_: Kernel) -> list[str]:
    return [
        "hugepages 8",
        "guest anon 32",
        "guest thp 64",
        "guest forks 4 8",
        "guest shmem 16",
        "thp_shmem 16",
        "guest file /tmp/file 8",
        "guest hugetlb 2",
        "guest mlocked 8",
        "guest pipes 4",
        "guest uring 4",
        "guest aio 128",
        "ksm 4",
        "guest churn 64 3",
        "compact",
        "still",
    ]


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("light", "boot and a light workload on ordinary memory, 1 GiB", _light),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of that name."""
    if name not in RECIPES:
        raise LabError(f"no recipe {name}: there are {', '.join(RECIPES)}")
    return RECIPES[name]
