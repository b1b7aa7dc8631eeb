# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answer of "pageaudit who" as text that fits a mail."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from drgn_contrib.dossier_text import reference_lines, waiter_lines
from drgn_contrib.text import claims, heading, pairs, pfn_range, plural, size, wrap

#: Words that are shown unless asked for all.
_FEW = 16


def who_texts(pages: Sequence[Mapping[str, Any]], *, verbose: bool = False) -> str:
    """All pages that were asked for; verbose leaves nothing out."""
    return "\n".join("\n".join(_lines(page, verbose)) + "\n" for page in pages)


def _lines(page: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    title = f"{pfn_range(page['pfn'], page['pfn'] + 1)}, struct page {page['page']}"
    yield title
    yield "=" * len(title)
    yield from pairs(_about(page), 0)
    yield from reference_lines(page, verbose)
    yield from waiter_lines(page)
    yield from _word_lines(page, verbose)


def _about(page: Mapping[str, Any]) -> "dict[str, Any]":
    about: "dict[str, Any]" = {}
    if page["nr_pages"] > 1:
        about["folio"] = (
            f"{page['kind']}, {plural(page['nr_pages'], 'page')} from pfn {page['head_pfn']:#x} on"
        )
    elif page["kind"] != "unknown":
        about["folio"] = page["kind"]
    if page["class"]:
        about["class"] = page["class"]
    about.update(claims(page))
    if page["refcount"]:
        counted = page["refcount"]["counted"]
        known = "its holders are not all known" if counted is None else f"{counted} accounted for"
        about["refcount"] = f"{page['refcount']['stored']}, {known}"
    searched = page["searched"]
    about["searched"] = (
        f"{size(searched['bytes'])} of kernel memory in {searched['seconds']:.2f} s; words in "
        f"free objects ({searched['free_objects']}) and below stack pointers "
        f"({searched['dead_stack']}) don't count"
    )
    left = [
        f"{size(searched['excluded_bytes'])} left out of the dump",
        f"{size(searched['unreadable_bytes'])} unreadable",
    ]
    if searched["unread_stacks"]:
        left.append(f"{plural(searched['unread_stacks'], 'stack')} that could not be read")
    if any(searched[what] for what in ("excluded_bytes", "unreadable_bytes", "unread_stacks")):
        about["not searched"] = ", ".join(left)
    if page.get("unread"):
        about["unread"] = page["unread"]
    return about


def _word_lines(page: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    yield from heading("What else in the kernel's memory names it")
    words = page["words"]
    if not words:
        yield "  nothing"
    shown = words if verbose else words[:_FEW]
    for word in shown:
        text = f"{word['encoding']}: {word['where']}"
        if word["member"]:
            text += f" ({word['member']})"
        if page["nr_pages"] > 1:
            text += f", names pfn {word['pfn']:#x}"
        if not word["holds"]:
            text += "; a link or a number, no holder by itself"
        yield from wrap(text, "  ", "      ")
    left = page["nr_words"] - len(shown)
    if left > 0:
        yield f"  ... and {left:,} more: -v and --json have the first of each page"
