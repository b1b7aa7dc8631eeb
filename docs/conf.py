# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sphinx configuration; the list of checks comes from the C table itself."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.nodes import nested_parse_with_titles

from drgn_contrib import _pageaudit
from drgn_contrib.version import VERSION

project = "pageaudit"
author = "the pageaudit authors"
version = release = VERSION
extensions = ["sphinx.ext.autodoc"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "An audit of the kernel's map of physical memory"}


class Checks(Directive):
    """One section a check, as "pageaudit checks ID" has it."""

    def run(self) -> "list[nodes.Node]":
        lines: "list[str]" = []
        for check in _pageaudit.checks():
            title = check["id"]
            lines += [title, "-" * len(title), "", f"*{check['summary']}*", ""]
            lines += [*check["doc"].splitlines(), ""]
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, source="checks"), section)
        return section.children


def setup(app: Sphinx) -> None:
    app.add_directive("pageaudit-checks", Checks)
