# SPDX-License-Identifier: LGPL-2.1-or-later
"""How much is searched for names by type: not for nothing, and not without end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List, Sequence, Tuple, cast

import pytest

from drgn_contrib import typed
from drgn_contrib.symbols import Symbols
from drgn_contrib.target import OpenedTarget

CHECK = "stale-page-reference"


class Kernel:
    """Searches are written down, and find nothing."""

    def __init__(self, offline: int) -> None:
        self.offline = offline
        self.searched: "List[Sequence[int]]" = []

    def memory(self) -> "Dict[str, Any]":
        usable = {"pfn": 0, "pfn_end": 4096, "state": "online"}
        return {"map": [usable, {"pfn": 4096, "pfn_end": 4096 + self.offline, "state": "offline"}]}

    def numbers(self) -> "Dict[str, Any]":
        return {"vmemmap": 0, "page_struct_size": 64}

    def search(self, pfns: Sequence[int], **_: object) -> "Dict[str, Any]":
        self.searched.append(pfns)
        return {"hits": []}


def name(
    kernel: Kernel, findings: "List[Dict[str, Any]]", prog: object
) -> "Tuple[List[Dict[str, Any]], Dict[str, int]]":
    opened = cast(OpenedTarget, SimpleNamespace(kernel=kernel))
    symbols = cast(Symbols, SimpleNamespace(program=lambda: prog))
    return typed.name_all(opened, symbols, findings, kernel.memory())


def hint(pfn: int) -> "Dict[str, Any]":
    return {"check": CHECK, "severity": "info", "pfn": pfn, "evidence": {"named_by": "a word"}}


def test_nothing_is_searched_for_without_types() -> None:
    kernel = Kernel(4096)
    assert name(kernel, [hint(4096)], None) == ([hint(4096)], {})
    assert kernel.searched == []
    name(kernel, [hint(4096)], object())
    assert kernel.searched == [[4096], list(range(4096, 8192))]


@pytest.mark.parametrize("more", [0, 1, 1 << 40])
def test_a_search_has_an_end(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is behind it is told."""
    monkeypatch.setattr(typed, "_MAX_PFNS", 100)
    monkeypatch.setattr(typed, "_MAX_PAGES", 3)
    hints = [hint(4096 + i) for i in range(3 + min(more, 5))]
    kernel = Kernel(100 + more)
    findings, unjudged = name(kernel, hints, object())
    assert findings == hints
    assert kernel.searched == [[4096, 4097, 4098], list(range(4096, 4196))]
    assert unjudged == {"pointers_unjudged": min(more, 5), "pfns_unjudged": more}
