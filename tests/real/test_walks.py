# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest stopped in the middle of compaction, memory being taken offline under it."""

from __future__ import annotations

from typing import Tuple

import pytest
from dumps import WALK
from lab import walked, walks


@pytest.fixture(scope="module")
def both() -> Tuple[walked.Walked, walked.Walked]:
    """While the memory goes, and when it is gone."""
    dump = walks.dump(*WALK)
    return walked.Walked(dump, dump.vmcore), walked.Walked(dump, dump.after)


def test_memory_goes_offline_under_compaction(both: Tuple[walked.Walked, ...]) -> None:
    """Who it is, where its scanners are, and what it has in hand: as drgn sees it."""
    for seen in both:
        assert seen.known["state"] == "offline"
        assert list(seen.wrong()) == []


def test_what_its_variables_name(both: Tuple[walked.Walked, ...]) -> None:
    """By name, with what became of it in the meantime."""
    for seen, state, block in zip(both, ("online", "offline"), ("going-offline", "offline")):
        # Who offlines memory, or kcompactd, may be compacting, too.
        pid = int(seen.walker().pid)
        (walker,) = (w for w in seen.report.walkers if w["pid"] == pid)
        assert walker["walk"] == "compaction"
        told = {
            (each["function"], each["name"]): (each["pfn"], each["is"], each["memory_block"])
            for each in walker["variables"]
        }
        here = seen.known["pfn"], state, block
        assert told["isolate_migratepages_block", "start_pfn"] == here
        assert told["isolate_migratepages", "page"] == here
        for finding in seen.report.findings:
            if finding.severity == "suspect":
                assert "page of isolate_migratepages()" in str(finding.evidence["variables"])
