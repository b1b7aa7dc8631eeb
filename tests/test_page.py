# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dossiers of pages of the dumps that ship: their form, and page_owner by the kernel's own word."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

import pytest
from reports import Approve, check_dossier, check_text, page_validator, who_validator
from test_cli import pageaudit

from drgn_contrib import target
from drgn_contrib.dossier import dossiers
from drgn_contrib.dossier_text import dossier_text
from drgn_contrib.who import _unread, who
from drgn_contrib.who_text import who_texts

ROOT = Path(__file__).resolve().parent.parent
OWNER = "v6.12-page-owner"
LEAK = "v7.2-hwpoison-leak"


@functools.cache
def opened(name: str) -> target.OpenedTarget:
    return target.open_target([str(ROOT / f"vmcores/{name}.kdump")])


@functools.cache
def meta(name: str) -> Dict[str, Any]:
    about: Dict[str, Any] = json.loads((ROOT / f"vmcores/{name}.json").read_text())
    return about


def event(name: str, kind: str) -> Dict[str, Any]:
    """What the guest said of where something is."""
    found: Dict[str, Any] = next(e for e in meta(name)["events"] if e["event"] == kind)
    return found


def dossier(name: str, pfn: int) -> Dict[str, Any]:
    (page,) = dossiers(opened(name), [pfn])
    check_dossier(page)
    return page


class Record(NamedTuple):
    """A page of the guest's /sys/kernel/debug/page_owner."""

    order: int
    gfp_mask: int
    pid: int
    tgid: int
    comm: str
    time_ns: int
    pfn: int
    stack: List[str]


def records() -> Iterator[Record]:
    for text in meta(OWNER)["truth"]["run/owners"].split("\n\n"):
        if not text:
            continue
        match = re.match(
            r"Page allocated via order (\d+), mask (0x[0-9a-f]+)\(.*?\), pid (\d+), tgid (\d+) "
            r"\((.*?)\), ts (\d+) ns\nPFN (0x[0-9a-f]+) ",
            text,
        )
        assert match, text
        order, mask, pid, tgid, comm, time_ns, pfn = match.groups()
        yield Record(
            int(order),
            int(mask, 16),
            int(pid),
            int(tgid),
            comm,
            int(time_ns),
            int(pfn, 16),
            re.findall(r"^ (\S+)$", text, re.M),
        )


def test_page_owner_is_what_the_kernel_said() -> None:
    """But for pages that were freed, or allocated anew, until the dump was taken."""
    told = list(records())
    same = 0
    for record, page in zip(told, dossiers(opened(OWNER), [r.pfn for r in told])):
        owner = page["owner"]
        if not owner["allocated"] or round(owner["alloc"]["time"] * 1e9) > record.time_ns:
            continue
        same += 1
        assert (owner["order"], int(owner["gfp_mask"], 16)) == (record.order, record.gfp_mask)
        assert (owner["alloc"]["pid"], owner["alloc"]["tgid"]) == (record.pid, record.tgid)
        assert owner["comm"] == record.comm
        assert round(owner["alloc"]["time"] * 1e9) == record.time_ns
        assert [frame["symbol"] for frame in owner["alloc"]["stack"]] == record.stack
    assert same >= 60
    assert same >= len(told) * 0.9


def test_a_freed_page_has_both_stacks() -> None:
    kernel = opened(OWNER).kernel
    freed = next(
        page
        for pfn in range(256, 65536)
        for page in [kernel.page(pfn)]
        if page["owner"] and not page["owner"]["allocated"] and page["refcount"] == 0
    )
    page = dossier(OWNER, freed["pfn"])
    assert page["owner"]["free"]["time"] > page["owner"]["alloc"]["time"]
    symbols = [frame["symbol"] for frame in page["owner"]["free"]["stack"]]
    assert any("free" in symbol for symbol in symbols)
    assert "  freed by pid " in dossier_text(page)
    assert "  last allocated by pid " in dossier_text(page)


def test_where_there_is_no_page_owner() -> None:
    page = dossier(LEAK, 4096)
    assert page["owner"] is None
    assert page["owner_unknown"] == "the kernel was built without page_owner"


def test_anonymous_page() -> None:
    about = event(OWNER, "anon")
    page = dossier(OWNER, about["pfn"])
    (mapping,) = page["references"]
    assert (page["kind"], page["class"], page["folio"]["order"]) == ("anonymous", "lru", 0)
    assert (mapping["holder"], mapping["kind"]) == ("page table", "map")
    assert (mapping["pid"], mapping["index"]) == (about["pid"], about["address"])
    assert mapping["vma"]["start"] <= about["address"] < mapping["vma"]["end"]
    assert mapping["vma"]["file"] is None
    assert {c["counter"]: (c["stored"], c["counted"]) for c in page["counts"]} == {
        "_refcount": (1, 1),
        "_mapcount": (1, 1),
    }


def test_tail_of_a_thp() -> None:
    about = event(OWNER, "thp")
    page = dossier(OWNER, about["pfn"] + 7)
    assert page["folio"]["head_pfn"] == about["pfn"]
    (mapping,) = page["references"]
    assert (mapping["kind"], mapping["pid"]) == ("map-entire", about["pid"])
    assert mapping["index"] == about["address"]
    assert {c["counter"]: (c["stored"], c["raw"], c["counted"]) for c in page["counts"]} == {
        "_refcount": (1, "0x00000001", 1),
        "_mapcount": (0, "0xffffffff", 0),
        "entire mapcount": (1, "0x00000000", 1),
        "_large_mapcount": (1, "0x00000000", 1),
        "_nr_pages_mapped": (0x800000, "0x00800000", 0x800000),
        "pincount": (0, "0x00000000", 0),
    }
    assert page["dump_page"]["lines"][0].startswith("page: refcount:1 mapcount:0 mapping:0x0 ")
    assert page["dump_page"]["lines"][1] == (
        "head: order:9 mapcount:1 entire_mapcount:1 nr_pages_mapped:0 pincount:0"
    )
    assert any(
        "maps it by itself. The folio is mapped 1 time" in line
        for line in page["dump_page"]["misleading"]
    )


def test_file_page() -> None:
    about = event(OWNER, "file")
    page = dossier(OWNER, about["pfn"])
    by = {r["holder"]: r for r in page["references"]}
    assert by["page cache"]["file"]["path"] == "/file"
    assert by["page cache"]["index"] == 0
    assert by["page table"]["vma"]["file"]["path"] == "/file"
    assert by["page table"]["pid"] == about["pid"]


def test_pipe_buffers() -> None:
    about = event(OWNER, "pipe")
    page = dossier(OWNER, about["pfn"])
    held = [r for r in page["references"] if r["holder"] == "pipe buffer"]
    assert sum(r["pfn_end"] - r["pfn"] for r in held) == about["pages"]
    assert page["made_of"]["references"] == about["pages"]


def test_poisoned_page_has_its_lines_of_the_log() -> None:
    (poisoned,) = {e["pfn"] for e in meta(LEAK)["expected"] if e["check"] == "hwpoison-in-buddy"}
    page = dossier(LEAK, poisoned)
    assert "hwpoison" in page["flag_names"]
    assert any(f"Memory failure: {poisoned:#x}" in line for line in page["log"])
    assert "What the kernel's log says of it" in dossier_text(page)


def test_no_memory() -> None:
    page = dossier(OWNER, 1 << 30)
    assert page["state"] == "absent"
    assert "raw" not in page
    assert not page["references"]


@pytest.mark.parametrize("kind", ["anon", "thp", "file", "hugetlb", "pipe"])
def test_text(kind: str, approve: Approve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pfn = event(OWNER, kind)["pfn"] + (1 if kind == "thp" else 0)
    done = pageaudit("page", f"vmcores/{OWNER}.kdump", str(pfn))
    assert (done.returncode, done.stderr) == (0, "")
    check_text(done.stdout)
    approve(f"{OWNER}-{kind}.txt", done.stdout)


def test_json_of_the_command() -> None:
    pfns = [str(event(OWNER, kind)["pfn"]) for kind in ("anon", "thp")]
    done = pageaudit("page", str(ROOT / f"vmcores/{OWNER}.kdump"), *pfns, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    pages = json.loads(done.stdout)
    page_validator().validate(pages)
    assert [str(page["pfn"]) for page in pages] == pfns


def test_what_is_not_known_is_said() -> None:
    """Of a page, and of who holds it: what makes the exit status 3."""
    pfn = event(OWNER, "anon")["pfn"]
    page = dossier(OWNER, pfn)
    assert "not known:" not in dossier_text(page)
    page["waiters_unknown"] = "wait queues can't be read"
    assert "  not known: wait queues can't be read\n" in dossier_text(page)
    (answer,) = who(opened(OWNER), [pfn])
    made = " ".join(who_texts([answer]).split())
    assert not re.search("unread|stacks that", made)
    answer["searched"]["unread_stacks"] = 2
    assert "2 stacks that could not be read" in " ".join(who_texts([answer]).split())
    searched = {"unreadable_bytes": 0, "unread_stacks": 0}
    answer.update(_unread({"holders_unread": [], "waiters_unknown": "so"}, searched))
    assert re.search(r"^unread +who waits for it$", who_texts([answer]), re.M)


def test_who() -> None:
    """Several pages cost one pass; what is known to hold them comes first."""
    kinds = ("anon", "thp", "shmem", "file", "hugetlb", "pipe", "uring")
    pfns = [event("v6.12-healthy", kind)["pfn"] for kind in kinds]
    done = pageaudit("who", "vmcores/v6.12-healthy.kdump", *map(hex, pfns), "--json", "-")
    pages = json.loads(done.stdout)
    who_validator().validate(pages)
    assert [page["pfn"] for page in pages] == pfns
    for page in pages:
        assert page["refcount"]["stored"] == page["refcount"]["counted"]
        assert page["references"]
    holders = [{r["holder"] for r in page["references"]} for page in pages]
    assert {"page table", "page cache"} <= holders[2]
    assert "pipe buffer" in holders[5]
    assert "io_uring" in holders[6]
