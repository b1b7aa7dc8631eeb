# SPDX-License-Identifier: LGPL-2.1-or-later
"""In drgn: the command %pageaudit, and the helpers beside the kernel's own words."""

from __future__ import annotations

from typing import Any, Dict

import drgn
import pytest
from drgn.helpers.linux.mm import compound_head, page_to_pfn
from lab import make

from drgn_contrib import helpers, target

commands = pytest.importorskip("drgn.commands")


@pytest.fixture
def full(kernel: str) -> make.Dump:
    """A dump of each kernel with some of everything."""
    return make.dump(kernel, "full")


def program(full: make.Dump) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(str(full.vmcore))
    prog.load_debug_info([str(full.vmlinux)])
    return prog


def event(full: make.Dump, kind: str) -> Dict[str, Any]:
    found: Dict[str, Any] = next(e for e in full.meta["events"] if e["event"] == kind)
    return found


def test_command(full: make.Dump, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what the stand-alone one does, and how to get the same by drgn."""
    import drgn_contrib.drgn_plugin  # noqa: F401

    prog = program(full)
    thp = event(full, "thp")["pfn"]
    for source, words in (
        ("pageaudit --checks section-state", ("0 bugs", "not asked for")),
        ("pageaudit --checks ' section-state'", ("0 bugs", "not asked for")),
        (f"pageaudit page {thp:#x}", (f"pfn {thp:#x}", "Who maps and who holds it")),
        (f"pageaudit who {thp}", ("page table", "What else")[1:]),
        ("pageaudit map", ("Zones (pages)",)),
        ("pageaudit checks refcount-leak", ("folio_expected_ref_count",)),
    ):
        commands.run_command(prog, source)
        text = capsys.readouterr().out
        assert all(word in text for word in words), (source, text)
    for wrong in (
        "pageaudit page",
        "pageaudit page x",
        "pageaudit checks nonsense",
        "pageaudit map 1",
        "pageaudit map 1 --drgn",
        "pageaudit page --drgn",
        "pageaudit --checks ,",
        "pageaudit --checks , --drgn",
        "pageaudit --checks nonsense --drgn",
    ):
        with pytest.raises(commands.CommandError):
            commands.run_command(prog, wrong)


def test_code(full: make.Dump, capsys: pytest.CaptureFixture[str]) -> None:
    """What --drgn prints runs, and is of what was asked for."""
    import drgn_contrib.drgn_plugin  # noqa: F401

    prog = program(full)
    thp = event(full, "thp")["pfn"]
    address = helpers.pfn_to_page(prog, thp).value_()
    for source, words in (
        ("pageaudit --checks section-state", ()),
        (
            f"pageaudit page {thp} {address} phys:{thp << 12}",
            (f"pfn={thp},", "holder='page table'"),
        ),
        (f"pageaudit page {thp}", (f"pfn={thp},",)),
        (f"pageaudit who {address}", (f"'pfn': {thp},", "'holder': 'page table'")),
        ("pageaudit map", ("zones {", "'name': 'DMA32'", "blocks {", "map {")),
        ("pageaudit checks", ("refcount-leak", "section-state")),
        ("pageaudit checks refcount-leak", ("folio_expected_ref_count",)),
    ):
        commands.run_command(prog, f"{source} --drgn")
        code = capsys.readouterr().out
        known: Dict[str, Any] = {"prog": prog}
        exec(compile(code, source, "exec"), known)  # noqa: S102
        text = capsys.readouterr().out
        assert all(word in text for word in words), (source, text)
        if "report" in known:
            assert [c.id for c in known["report"].checks if c.status == "ran"] == ["section-state"]
    assert "section-state" not in text


def test_opened_once(full: make.Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop over helpers opens a dump once."""
    prog = program(full)
    opened = []

    def counted(prog: drgn.Program) -> target.OpenedTarget:
        opened.append(real(prog))
        return opened[-1]

    real = target.open_program
    monkeypatch.setattr(target, "open_program", counted)
    for pfn in range(64):
        helpers.pfn_to_online_page(prog, pfn)
        helpers.get_dev_pagemap(prog, pfn)
        helpers.pfn_to_page(prog, pfn)
    assert len(opened) == 1


def test_online_pages(full: make.Dump) -> None:
    """Every page that the kernel itself calls present, and none of what it offlined."""
    prog = program(full)
    pages = [page_to_pfn(page).value_() for page in helpers.for_each_online_page(prog)]
    assert pages == sorted(set(pages))
    present = 0
    node = prog["node_data"][0]
    for zone in node.node_zones:
        if zone.name.string_() != b"Device":
            present += zone.present_pages.value_()
    # Holes in online sections are no memory, and have struct pages.
    assert present <= len(pages)
    thp = event(full, "thp")["pfn"]
    assert page_to_pfn(helpers.pfn_to_online_page(prog, thp)).value_() == thp
    for none in (1 << 40, 1 << 50, 1 << 64, -1):
        assert not helpers.pfn_to_online_page(prog, none)


def test_device_memory(full: make.Dump) -> None:
    """A pgmap for device memory, which is not online, and for nothing else."""
    prog = program(full)
    pfn = event(full, "map")["pfn"]
    pgmap = helpers.get_dev_pagemap(prog, pfn)
    assert pgmap.type_.type_name() == "struct dev_pagemap *"
    start, end = pgmap.range.start.value_() >> 12, pgmap.range.end.value_() >> 12
    assert start <= pfn <= end
    assert not helpers.pfn_to_online_page(prog, pfn)
    for none in (event(full, "thp")["pfn"], 1 << 40, 1 << 50, 1 << 64, -1):
        assert not helpers.get_dev_pagemap(prog, none)


def test_holders(kernel: str) -> None:
    """What holds a page adds up to what its refcount says."""
    light = make.dump(kernel, "light")
    prog = program(light)
    judged = 0
    for kind in ("anon", "thp", "shmem", "file", "hugetlb"):
        page = helpers.pfn_to_page(prog, event(light, kind)["pfn"])
        expected = helpers.page_expected_count(page)
        # Compaction may have moved what was there.
        if expected is None:
            continue
        judged += 1
        holders = helpers.page_holders(page)
        assert expected == compound_head(page)._refcount.counter.value_()
        counted = sum(h.count * (h.pfn_end - h.pfn) for h in holders if h.kind != "link")
        cached = any(h.holder == "page cache" for h in holders)
        # A file's page may have buffers or the like, with one reference for all of them.
        assert expected - counted in ((0, 1) if cached else (0,))
    assert judged >= 3
