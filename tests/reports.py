# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every report must be, whatever it is of."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any, Callable

import jsonschema

from drgn_contrib import text
from drgn_contrib.dossier_text import dossier_text
from drgn_contrib.report import Report

#: What the fixture approve is: approve(name, text).
Approve = Callable[[str, str], None]


@functools.cache
def _validator(name: str) -> Any:
    files = importlib.resources.files("drgn_contrib")
    schema = json.loads((files / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def schema_validator() -> Any:
    """What validates reports as JSON."""
    return _validator("pageaudit-report-1")


def page_validator() -> Any:
    """What validates the JSON of `pageaudit page`."""
    return _validator("pageaudit-page-1")


def who_validator() -> Any:
    """What validates the JSON of `pageaudit who`."""
    return _validator("pageaudit-who-1")


def map_validator() -> Any:
    """What validates the JSON of `pageaudit map`."""
    return _validator("pageaudit-map-1")


def picture_validator() -> Any:
    """What validates the data of the picture in a page of --html."""
    return _validator("pageaudit-picture-1")


def check_text(lines: str) -> None:
    """What any text for people must be."""
    assert lines.endswith("\n")
    for line in lines.splitlines():
        assert len(line) <= 78, line
        assert line == line.rstrip()
        assert all(" " <= character <= "~" for character in line), line


def check_dossier(page: "dict[str, Any]") -> None:
    """Keeps to its schema, and makes texts that fit a mail."""
    page_validator().validate([page])
    for verbose in (False, True):
        check_text(dossier_text(page, verbose=verbose))


def check_report(report: Report) -> None:
    """Keeps to its schema, and makes texts that fit a mail."""
    schema_validator().validate(json.loads(report.dumps()))
    check_text(text.report_text(report))
    check_text(text.report_text(report, verbose=True))
