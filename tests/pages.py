# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages of --html as a browser without scripts sees them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from sample import opened

from drgn_contrib import _pageaudit, report, run
from drgn_contrib.html import report_html

#: A dump whose every finding is known.
SHIPPED = Path(__file__).resolve().parents[1] / "vmcores" / "v7.2-hwpoison-leak.kdump"

#: Elements that have no end.
_VOID = {"meta", "input", "br", "link", "img", "hr"}


def sample_report(path: str = "dumps/vmcore.kdump") -> report.Report:
    """The sample with its picture."""
    return run.run(opened(path), picture=True)


class Page(HTMLParser):
    """Elements, attributes and text of a page; each element must be ended."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: "Counter[str]" = Counter()
        self.attributes: "List[Tuple[str, str, str]]" = []
        #: By element's name: what is in each of them.
        self.contents: "Dict[str, List[str]]" = {}
        self.scripts: "List[Tuple[Dict[str, str], str]]" = []
        self._open: "List[Tuple[str, Dict[str, str], List[str]]]" = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: "List[Tuple[str, Optional[str]]]") -> None:
        self.tags[tag] += 1
        found = {name: text or "" for name, text in attrs}
        self.attributes += [(tag, name, text) for name, text in found.items()]
        if tag not in _VOID:
            self._open.append((tag, found, []))

    def handle_startendtag(self, tag: str, attrs: "List[Tuple[str, Optional[str]]]") -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        begun, attributes, text = self._open.pop()
        assert begun == tag, (begun, tag, self.getpos())
        content = "".join(text)
        self.contents.setdefault(tag, []).append(content)
        if tag == "script":
            self.scripts.append((attributes, content))
        elif self._open:
            self._open[-1][2].append(content + " " * (tag in ("td", "th", "li", "p")))

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][2].append(data)

    @property
    def text(self) -> str:
        """What is read on it."""
        return self.contents["body"][0]

    @property
    def data(self) -> "Dict[str, Any]":
        """What its picture is drawn from."""
        found = [text for about, text in self.scripts if about.get("type") == "application/json"]
        result: "Dict[str, Any]" = json.loads(found[0])
        return result

    def check_whole(self) -> None:
        """It loads nothing, and its policy allows its own script and style alone."""
        for tag, name, text in self.attributes:
            assert name not in ("src", "srcset", "action", "background", "data", "style"), tag
            assert not name.startswith("on"), (tag, name)
            if name == "href":
                assert re.fullmatch(r"#[a-z0-9=-]+", text), text
        assert not {"link", "img", "iframe", "object", "embed", "base"} & set(self.tags)
        code = [text for about, text in self.scripts if about.get("type") != "application/json"]
        assert len(code) == len(self.contents["style"]) == 1
        for text in (*code, *self.contents["style"]):
            assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", text)
        policy = next(text for _, name, text in self.attributes if text.startswith("default-src"))
        assert "default-src 'none'" in policy
        for text in (*code, *self.contents["style"]):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert "unsafe" not in policy
        assert self.html.isascii()


def page_of(made: report.Report) -> Page:
    """The page of a report."""
    return Page(report_html(made, _pageaudit.checks()))
