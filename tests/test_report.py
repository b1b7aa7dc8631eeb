# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reports: as objects, as JSON that keeps to its schema, as text for a mail."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from reports import Approve, check_report, check_text, schema_validator
from sample import AUDIT, LOG, MEMORY, PAGE, TOOL, opened

from drgn_contrib import report, run, text


@pytest.fixture(scope="module")
def sample() -> report.Report:
    made = run.run(opened("dumps/vmcore.kdump"))
    return dataclasses.replace(made, tool=TOOL)


@pytest.fixture(scope="module")
def validator() -> Any:
    return schema_validator()


def test_json_keeps_to_the_schema(sample: report.Report, validator: Any) -> None:
    data = json.loads(sample.dumps())
    check_report(sample)
    validator.validate(data)
    assert data["findings"][0]["page"] == f"{PAGE:#x}"
    assert data["target"]["crash"]["cr2"] == f"{PAGE:#x}"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("log"),
        lambda data: data.update(extra=1),
        lambda data: data["target"].update(types_from="guess"),
        lambda data: data["checks"][1].update(reason=None),
        lambda data: data["checks"][0].update(status="fine"),
        lambda data: data["findings"][0].update(severity="error"),
        lambda data: data["findings"][0].update(page=PAGE),
        lambda data: data["findings"][0]["evidence"].update(nested={}),
        lambda data: data["coverage"].pop("pages_excluded"),
    ],
)
def test_the_schema_refuses(sample: report.Report, validator: Any, spoil: Any) -> None:
    data = json.loads(sample.dumps())
    spoil(data)
    assert not validator.is_valid(data)


def test_findings_are_sorted_and_have_their_log(sample: report.Report) -> None:
    assert [f.severity for f in sample.findings] == ["bug", "suspect", "info"]
    assert "Memory failure: 0x1234" in str(sample.findings[0].evidence["log"])
    assert all("log" not in f.evidence for f in sample.findings[1:])
    assert sample.findings[0].page is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.findings[0].severity = "info"  # type: ignore[misc]


def status_of(severities: "list[str]", statuses: "list[str]", like: report.Report) -> int:
    findings = tuple(
        dataclasses.replace(like.findings[0], severity=severity) for severity in severities
    )
    checks = tuple(dataclasses.replace(like.checks[0], status=status) for status in statuses)
    return dataclasses.replace(like, findings=findings, checks=checks).exit_status


def test_exit_status(sample: report.Report) -> None:
    assert status_of([], ["ran", "not-applicable"], sample) == 0
    assert status_of(["info", "info"], ["ran"], sample) == 0
    assert status_of(["bug"], ["ran"], sample) == 1
    assert status_of(["info", "suspect"], ["failed"], sample) == 1
    for status in ("partial", "skipped", "failed"):
        assert status_of(["info"], ["ran", status], sample) == 3


@pytest.mark.parametrize("verbose", [False, True])
def test_text_is_as_approved(sample: report.Report, verbose: bool, approve: Approve) -> None:
    made = text.report_text(sample, verbose=verbose)
    check_text(made)
    approve(f"report{'-verbose' * verbose}.txt", made)


def test_map_is_as_approved(sample: report.Report, approve: Approve) -> None:
    made = text.map_text(MEMORY, sample.target)
    check_text(made)
    approve("map.txt", made)


def test_text_shows_few_of_many(sample: report.Report) -> None:
    many = dataclasses.replace(sample, findings=sample.findings[:1] * 100)
    assert text.report_text(many).count("BUG lost-free-pages") == 20
    assert "... and 80 more of bug lost-free-pages" in text.report_text(many)
    assert text.report_text(many, verbose=True).count("BUG lost-free-pages") == 100


def test_long_words_are_broken(sample: report.Report) -> None:
    target = dataclasses.replace(sample.target, path="x" * 500)
    finding = dataclasses.replace(sample.findings[0], evidence={"key": "y" * 500})
    check_text(text.report_text(dataclasses.replace(sample, target=target, findings=(finding,))))


def test_nothing_found_is_said(sample: report.Report) -> None:
    clean = dataclasses.replace(sample, findings=(), checks=sample.checks[:1], log=())
    made = text.report_text(clean)
    assert "Every check ran." in made
    assert "0 bugs, 0 suspects, 0 info" in made
    made = text.report_text(clean, known=["section-state", "page-links"])
    assert "Every check ran." not in made
    assert "not asked for: page-links" in made


def test_sample_is_what_the_binding_gives() -> None:
    assert {f.name for f in dataclasses.fields(report.LogRecord)} == set(LOG[0])
    assert {f.name for f in dataclasses.fields(report.CheckResult)} == set(AUDIT["checks"][0])
