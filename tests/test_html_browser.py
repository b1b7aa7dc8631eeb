# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages of --html in a real browser: by keyboard, in the dark, without scripts."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from browser import Browser
from pages import SHIPPED
from test_html import big_report, hostile_report, worst_report

from drgn_contrib import _pageaudit, html_memory, report, target
from drgn_contrib.html import report_html


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(running: Browser) -> Browser:
    """The browser as somebody has it who has set nothing."""
    running.media()
    running.size(1280, 900)
    running.call("Emulation.setScriptExecutionDisabled", value=False)
    return running


@pytest.fixture
def page(browser: Browser, shipped: "tuple[Path, Path]") -> Browser:
    """The page of a dump that ships, just opened."""
    browser.open(shipped[0].as_uri())
    return browser


@pytest.fixture
def findings(shipped: "tuple[Path, Path]") -> "list[dict[str, Any]]":
    """What the JSON of the same audit has."""
    result: "list[dict[str, Any]]" = json.loads(shipped[1].read_text())["findings"]
    return result


def text_of(browser: Browser, id_: str) -> str:
    text = browser.evaluate(f"document.getElementById('{id_}').innerText")
    return " ".join(str(text).split())


def opened(browser: Browser, made: report.Report, tmp_path: Path, fragment: str = "") -> None:
    """The page of a report."""
    path = tmp_path / "page.html"
    path.write_text(report_html(made, _pageaudit.checks()))
    browser.open(path.as_uri() + fragment)


def focus_map(browser: Browser) -> "list[str]":
    """Goes to the picture by the Tab key alone; what had the focus before."""
    passed: "list[str]" = []
    for _ in range(60):
        browser.press("Tab")
        focused = browser.evaluate("document.activeElement.id || document.activeElement.innerText")
        if focused == "map":
            return passed
        passed.append(focused)
    raise AssertionError(passed)


def test_page_loads_nothing_and_draws(page: Browser, shipped: "tuple[Path, Path]") -> None:
    assert page.complaints() == []
    assert [url for url in page.requests() if url != "about:blank"] == [shipped[0].as_uri()]
    colours = page.evaluate(
        """(() => {
            const map = document.getElementById("map");
            const pixels = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
            return new Set(new Uint32Array(pixels.buffer)).size;
        })()"""
    )
    assert colours > 8
    assert "Section 0, online" in text_of(page, "says")
    for id_ in ("verdict", "act", "findings", "memory", "checks", "coverage", "log"):
        assert page.evaluate(f"document.getElementById('{id_}').offsetHeight") > 10, id_


def test_by_keyboard_from_the_machine_to_a_page(
    page: Browser, findings: "list[dict[str, Any]]"
) -> None:
    passed = focus_map(page)
    assert passed[:2] == ["Skip to the findings", "What to do"]
    assert passed[-4:] == ["previous-mark", "next-mark", "go-to", "Go"]
    outline = page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement);"
        " return [s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
    )
    assert outline[0] == "solid"
    assert outline[1] >= 2
    page.press("ArrowRight")
    assert text_of(page, "says").startswith("Section 1, online")
    page.press("End")
    assert text_of(page, "says").startswith("Section 4, online")
    page.press("Home", "ArrowRight", "Enter")
    assert text_of(page, "crumbs") == "Machine \u203a Section 1"
    assert text_of(page, "says").startswith("pfn 0x8000, ")
    page.press("ArrowDown", "ArrowRight")
    assert text_of(page, "says").startswith("pfn 0x8081, ")
    page.press("Enter")
    assert text_of(page, "crumbs") == "Machine \u203a Section 1 \u203a pfns from 0x8000"
    page.press("ArrowUp")
    assert text_of(page, "says").startswith("pfn 0x8061, ")
    assert "pageaudit page" in text_of(page, "about")
    page.press("Escape", "Escape")
    assert text_of(page, "crumbs") == "Machine"
    # Through all marks in the order of memory; findings are among them.
    page.press("n")
    lowest = min(f["pfn"] for f in findings if f["pfn"] is not None)
    said = text_of(page, "says")
    assert re.match(r"Mark 1 of \d+: ", said)
    assert f"pfn {lowest:#x}, " in said
    page.press("n", "p")
    assert text_of(page, "says") == said
    page.press("p")
    assert re.match(r"Mark (\d+) of \1: ", text_of(page, "says"))
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") != "map"


def go_to(browser: Browser, text: str) -> str:
    browser.evaluate("document.getElementById('go-to').select()")
    browser.evaluate("document.getElementById('go-to').focus()")
    browser.call("Input.insertText", text=text)
    browser.press("Enter")
    return text_of(browser, "says")


def test_pages_are_what_the_kernel_says(page: Browser, findings: "list[dict[str, Any]]") -> None:
    kernel = target.open_target([str(SHIPPED)]).kernel
    for pfn in (0x0, 0x1000, 0x2003, 0x36BC, 0x8001, 0x8201, 0x12345, 0x20105, 0x27FFF):
        folio = kernel.page(pfn)["folio"]
        head = kernel.page(folio["head_pfn"] if folio else pfn)
        words = go_to(page, f"{pfn:#x}").partition(";")[0].split(", ")
        assert words[0] == f"pfn {pfn:#x}"
        assert ("reserved" in words) == ("reserved" in head["flag_names"]), words
        assert ("page tables" in words) == (head["type"] == "table"), words
        assert ("slab" in words) == (head["type"] == "slab"), words
        anonymous = head["type"] == "none" and int(head["mapping"], 16) & 1 and head["refcount"]
        assert ("anonymous" in words) == bool(anonymous), words
        assert ("poisoned" in words) == ("hwpoison" in kernel.page(pfn)["flag_names"]), words
    bad = findings[0]
    for text in (str(bad["pfn"]), bad["page"], f"phys:{bad['pfn'] * 4096:#x}"):
        assert go_to(page, text).startswith(f"pfn {bad['pfn']:#x}, ")
    assert bad["page"] in text_of(page, "about")
    assert bad["check"] in text_of(page, "marks-here")
    assert "no such memory" in go_to(page, "0x7fffffff")
    assert go_to(page, "<b>") == "That is no pfn."


def test_links_lead_to_the_picture_and_back(
    page: Browser, shipped: "tuple[Path, Path]", findings: "list[dict[str, Any]]"
) -> None:
    pfn = findings[0]["pfn"]
    page.evaluate("document.querySelector('#finding-1 a').click()")
    page.press("Home")
    assert page.evaluate("location.hash") == f"#pfn={pfn:#x}"
    assert page.evaluate("document.activeElement.id") == "map"
    assert text_of(page, "crumbs").endswith(f"pfns from {pfn & ~511:#x}")
    page.open(f"{shipped[0].as_uri()}#pfn={pfn:#x}")
    assert text_of(page, "says").startswith(f"pfn {pfn:#x}, ")
    page.evaluate("document.getElementById('finding-1').open = false")
    page.evaluate("document.querySelector('#marks-here a').click()")
    page.press("Home")
    assert page.evaluate("location.hash") == "#finding-1"
    assert page.evaluate("document.getElementById('finding-1').open") is True


def test_by_pointer(page: Browser) -> None:
    box = page.evaluate(
        "(() => { const map = document.getElementById('map'); map.scrollIntoView();"
        " const b = map.getBoundingClientRect(); return [b.left, b.top]; })()"
    )
    at = {"x": box[0] + 300, "y": box[1] + 20, "button": "left"}
    for count in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            page.call("Input.dispatchMouseEvent", type=kind, clickCount=count, **at)
    page.press("Home")
    assert text_of(page, "crumbs") == "Machine \u203a Section 1"


#: Relative luminance and contrast, as WCAG 2 defines them.
CONTRAST = """(() => {
    const style = getComputedStyle(document.documentElement);
    const light = (name) => {
        const hex = style.getPropertyValue("--" + name).trim();
        const [r, g, b] = [1, 3, 5].map((at) => {
            const c = parseInt(hex.slice(at, at + 2), 16) / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const result = {};
    for (const name of %s)
        for (const back of ["back", "panel"]) {
            const [a, b] = [light(name), light(back)];
            result[name + " on " + back] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }
    return result;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(page: Browser, scheme: str) -> None:
    page.media(scheme=scheme)
    names = ["text", "dim", "link", "bug", "suspect", "info", "good", "focus"]
    contrasts = page.evaluate(CONTRAST % json.dumps(names))
    for pair, contrast in contrasts.items():
        assert contrast >= 4.5, (scheme, pair, contrast)
    page.press("Tab")
    # The picture is drawn anew: its corner, between tiles, is the page's background.
    corner = page.evaluate(
        "(() => { const map = document.getElementById('map');"
        " return [...map.getContext('2d').getImageData(map.width - 1, 0, 1, 1).data]; })()"
    )
    assert (max(corner[:3]) < 64) == (scheme == "dark")
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert body == "rgb({}, {}, {})".format(*corner[:3])


def test_on_paper(page: Browser) -> None:
    page.media(scheme="dark", kind="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('nav').offsetHeight") == 0
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = false)")
    assert page.evaluate("document.querySelector('#finding-1 table').offsetHeight") > 50
    assert len(page.call("Page.printToPDF")["data"]) > 50_000


def test_without_scripts(browser: Browser, shipped: "tuple[Path, Path]") -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.call("Page.navigate", url=shipped[0].as_uri())
    for _ in range(200):
        if browser.evaluate("document.readyState") == "complete":
            break
        time.sleep(0.05)
    read = str(browser.evaluate("document.body.innerText"))
    assert "The picture needs JavaScript." in read
    assert "hwpoison-in-buddy" in read
    assert "Physical memory by state" in read
    assert "Show in the picture" not in read
    assert browser.evaluate("document.getElementById('picture').offsetHeight") == 0


def test_on_a_narrow_window(page: Browser) -> None:
    for width in (360, 700):
        page.size(width, 800)
        page.press("Tab")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.getElementById('map').offsetWidth") <= width
    page.evaluate("document.getElementById('map').focus()")
    page.press("Enter", "End")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    # The last page is seen.
    bottom = page.evaluate("document.getElementById('map').getBoundingClientRect().bottom")
    assert 0 < bottom <= 800


def test_assistive_technology_is_told(page: Browser) -> None:
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""), node)
        for node in page.call("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"]
    ]
    roles = [role for role, _, _ in nodes]
    for role in ("banner", "navigation", "main", "contentinfo", "status", "toolbar"):
        assert role in roles
    (picture,) = [node for role, name, node in nodes if role == "application"]
    assert picture["name"]["value"] == "Map of memory"
    assert "Arrow keys move" in picture["description"]["value"]
    for role, name, _ in nodes:
        if role in ("button", "link", "textbox", "heading", "region", "img"):
            assert name, role
    tables = {name for role, name, _ in nodes if role == "table"}
    assert {"All findings, worst first", "What pages are", "Zones, in pages"} <= tables
    headings = [node for role, _, node in nodes if role == "heading"]
    levels = [
        p["value"]["value"] for h in headings for p in h["properties"] if p["name"] == "level"
    ]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:]))


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    opened(browser, hostile_report(), tmp_path, "#pfn=0x1")
    assert browser.complaints() == []
    assert not [e for e in browser.events if e["method"] == "Page.javascriptDialogOpening"]
    assert "<script>alert(1)</script>" in text_of(browser, "says")
    assert "<script>alert(1)</script>" in text_of(browser, "marks-here")
    assert "<img src=x onerror=alert(1)>" in text_of(browser, "about")
    assert browser.evaluate("document.images.length") == 0


def test_a_large_machine(browser: Browser, tmp_path: Path) -> None:
    made = big_report(128, 1000)
    opened(browser, made, tmp_path)
    assert browser.complaints() == []
    focus = browser.evaluate("document.getElementById('map').focus()")
    assert focus is None
    browser.press("End", "Enter")
    assert text_of(browser, "crumbs") == "Machine \u203a Section 127"
    last = 127 * 32768
    assert f"pfn {last:#x}, " in text_of(browser, "says")
    without = html_memory.picture_data(made, made.picture, "vmcore", 0) if made.picture else {}
    assert without["runs"] == {}
    browser.press("Escape", "ArrowLeft", "Enter")
    assert "there was no room for its pages" in text_of(browser, "says")


def test_cells_of_more_pages(browser: Browser, tmp_path: Path) -> None:
    """As where a machine of many TiB leaves no room for those of 2 MiB."""
    opened(browser, worst_report(), tmp_path)
    assert browser.complaints() == []
    assert "(of 4 times 32 MiB)" in text_of(browser, "about")
    browser.evaluate("document.getElementById('map').focus()")
    browser.press("End")
    assert text_of(browser, "says").startswith("Section 65535, online")
