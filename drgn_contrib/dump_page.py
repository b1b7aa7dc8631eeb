# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel's dump_page() would have printed of a page, and where that misleads.

mm/debug.c of v5.10 to v7, but with pointers in clear and the flags as we name them.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence

#: PAGE_MAPPING_ANON, and the bit beside it that makes it KSM's.
_ANON, _KSM = 1, 2

#: _nr_pages_mapped has more than a count: ENTIRELY_MAPPED and what is above.
_PAGES_MAPPED = 0x7FFFFF

_NONE = 0xFFFFFFFF


class Printed:
    """One page as dump_page() has it.

    :param new_form: The kernel keeps _large_mapcount (v6.10): it prints folios, not pages.
    """

    def __init__(self, page: Mapping[str, Any], new_form: bool) -> None:
        self._page = page
        self._new = new_form
        self._folio: Mapping[str, Any] = page["folio"] or {}
        self._order: int = self._folio.get("order", 0)
        self._head_raw: Sequence[str] = self._folio.get("raw") or page["raw"]
        self._mapping = int(self._head_raw[3], 16)

    def _counter(self, name: str, less: int = 1) -> int:
        """A counter of the folio; 0 where it has none."""
        counter = self._folio.get("counters", {}).get(name)
        return 0 if counter is None else int(counter["value"]) + less

    def _page_mapcount(self) -> int:
        own = self._page["mapcount"]
        if own is None:
            return 0
        if self._new or not self._order:
            return int(own)
        # page_mapcount() then: of a file's page all maps, else those of the whole beside its own.
        if self._mapping & _ANON or self._folio["hugetlb"]:
            own += self._counter("entire_mapcount")
        return int(own)

    def _folio_mapcount(self) -> int:
        return self._counter("large_mapcount" if self._new else "entire_mapcount")

    def lines(self) -> List[str]:
        """The lines, without what a console puts before them."""
        page, folio = self._page, self._folio
        if int(page["flags"], 16) == (1 << 64) - 1:
            return [f"page:{page['page']} is uninitialized and poisoned"]
        mapping = 0 if self._mapping & _ANON else self._mapping & ~3
        inside = page["pfn"] - folio.get("head_pfn", page["pfn"])
        result = [
            ("page: " if self._new else f"page:{page['page']} ")
            + f"refcount:{folio.get('refcount', page['refcount'])} "
            f"mapcount:{self._page_mapcount()} mapping:{mapping:#x} "
            f"index:{int(self._head_raw[4], 16) + inside:#x} pfn:{page['pfn']:#x}"
        ]
        if self._order:
            result.append(self._head_line())
        kind = ""
        if self._mapping & _ANON:
            kind = "ksm " if self._mapping & _KSM else "anon "
        flags = folio.get("flags", page["flags"])
        names = folio.get("flag_names", page["flag_names"])
        result.append(f"{kind}flags: {flags}({names})")
        result += _hex_dump(page["raw"], "raw: ")
        if self._order and (self._new or page["tail"]):
            result += _hex_dump(self._head_raw[: 16 if self._new else 8], "head: ")
        return result

    def _head_line(self) -> str:
        pincount = self._counter("pincount", 0)
        if self._new:
            return (
                f"head: order:{self._order} mapcount:{self._folio_mapcount()} "
                f"entire_mapcount:{self._counter('entire_mapcount')} "
                f"nr_pages_mapped:{self._counter('nr_pages_mapped', 0) & _PAGES_MAPPED} "
                f"pincount:{pincount}"
            )
        line = (
            f"head:{self._folio['head']} order:{self._order} "
            f"compound_mapcount:{self._folio_mapcount()}"
        )
        has_pincount = "pincount" in self._folio["counters"]
        return line + (f" compound_pincount:{pincount}" if has_pincount else "")

    def misleading(self) -> "Iterator[str]":
        """What a reader of those lines may take for something else, in sentences."""
        page = self._page
        word = int(page["raw"][6], 16) & _NONE
        if int(page["flags"], 16) == (1 << 64) - 1:
            return
        if page["type"] != "none":
            yield (
                f"{word:08x} in raw:, where _mapcount is, is no mapcount: it says that the page "
                f"is of type {page['type']}."
            )
        elif self._folio.get("hugetlb"):
            yield (
                "A hugetlb folio is mapped only as a whole: the _mapcounts of its pages, "
                f"{word:08x} in raw:, are not in use."
            )
        elif word == _NONE and self._order:
            kinds = "all in all" if self._new else "as a whole"
            count = self._folio_mapcount()
            yield (
                "ffffffff in raw: is this page's own _mapcount, 0 stored less 1: no page table "
                f"entry maps it by itself. The folio is mapped {count} "
                f"time{'' if count == 1 else 's'} {kinds}."
            )
        elif word == _NONE:
            yield "ffffffff in raw: is a _mapcount of 0, stored less 1."
        if page["tail"]:
            yield (
                "The refcount is the folio's: that of a tail is always 0. The words of its struct "
                "page other than flags and _mapcount are counters of the folio, or poison."
            )
        if self._mapping & _ANON:
            yield (
                "mapping is printed as 0 for an anonymous page; the word is "
                f"{self._mapping:#x}, with low bits that say so."
            )
        yield "The kernel prints pointers hashed: those in its log are not these."


def _hex_dump(words: Sequence[str], prefix: str) -> Iterator[str]:
    """print_hex_dump() of 64-bit words, four a line."""
    for i in range(0, len(words), 4):
        yield prefix + " ".join(f"{int(word, 16):016x}" for word in words[i : i + 4])
