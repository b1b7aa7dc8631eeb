# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words that must not matter, and words of struct pages that may: none makes a storm."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Iterator

import pytest
from planting import PAGE_SIZE, Site

#: The same at every run, and for every kernel.
SEED = 20200811


@pytest.fixture
def rng() -> random.Random:
    return random.Random(SEED)


@pytest.fixture
def pages(site: Site) -> "dict[str, list[int]]":
    """Pfns by their class in the census; a free block's first page is "free"."""
    census = site.kernel().census()
    names = {
        value: "free" if name.startswith("free-") and name != "free-body" else name
        for name, value in census["class_names"].items()
    }
    found: "dict[str, list[int]]" = defaultdict(list)
    for nr, classes in census["classes"].items():
        for index, value in enumerate(classes):
            found[names[value & 0x3F]].append(nr * site.section_pages + index)
    return found


def misleading_words(site: Site, pages: "dict[str, list[int]]") -> "Iterator[int]":
    """Words that look like what a list or a folio is made of."""
    for name in "free", "lru", "tail", "device", "hugetlb":
        page = int(site.page(pages[name][0]))
        yield from (page, page + 8, page | 1, pages[name][0] * PAGE_SIZE)
    for start, _ in site.ranges("offline"):
        yield int(site.page(start)) + 8
    yield from (0, 2**64 - 1, 0xDEAD000000000100, 0x48575053)


@pytest.mark.parametrize("name", ["free", "free-body", "pcp", "lru"])
def test_contents_of_pages(
    site: Site, pages: "dict[str, list[int]]", rng: random.Random, name: str
) -> None:
    """What is in free memory and in users' pages is nobody's business."""
    words = list(misleading_words(site, pages))
    for pfn in rng.sample(pages[name], 25):
        for _ in range(20):
            at = pfn * PAGE_SIZE + 8 * rng.randrange(PAGE_SIZE // 8)
            site.core.write_u64(at, rng.choice([*words, rng.getrandbits(64)]))
    site.expect_nothing()


def test_struct_pages_of_nobody(
    site: Site, pages: "dict[str, list[int]]", rng: random.Random
) -> None:
    """Struct pages of offline memory, of holes and of what holds device memory's memmap."""
    words = list(misleading_words(site, pages))
    for state in "offline", "hole", "altmap":
        for start, end in site.ranges(state):
            for pfn in rng.sample(range(start, end), 25):
                address = int(site.page(pfn)) + 8 * rng.randrange(8)
                site.write(address, rng.choice(words).to_bytes(8, "little"))
    site.expect_nothing()


def test_one_word_of_a_struct_page(
    site: Site, pages: "dict[str, list[int]]", rng: random.Random
) -> None:
    """One wrong word is a few findings at most, and never none of our business to read on."""
    words = list(misleading_words(site, pages))
    classes = sorted(set(pages) - {"not-memory", "altmap"})
    for _ in range(60):
        pfn = rng.choice(pages[rng.choice(classes)])
        address = int(site.page(pfn)) + 8 * rng.randrange(8)
        old = site.prog.read_u64(address)
        new = rng.choice([old ^ 1 << rng.randrange(64), rng.getrandbits(64), *words])
        with site.planted():
            site.write(address, new.to_bytes(8, "little"))
            audited = site.audit()
        assert len(audited.above_info()) <= 4, (hex(pfn), hex(old), hex(new), audited.findings)
        assert "failed" not in audited.status.values()
        assert "skipped" not in audited.status.values()
