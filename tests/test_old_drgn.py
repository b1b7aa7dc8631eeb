# SPDX-License-Identifier: LGPL-2.1-or-later
"""Releases of drgn that distributions still have: without commands, and who tell less."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab.paths import lock, made_dir

ROOT = Path(__file__).resolve().parents[1]
#: Debian 12's and Debian 13's.
RELEASES = ("0.0.22", "0.0.31")

SCRIPT = """
import json, sys
import drgn
import drgn_contrib
from drgn_contrib import drgn_plugin, helpers
dump, other = sys.argv[1:]
prog = drgn.Program()
prog.set_core_dump(dump)
said = {"drgn": drgn.__version__}
for name, paths in ("without", []), ("other", [other]):
    try:
        drgn_contrib.audit(prog, paths=paths)
    except drgn_contrib.TargetError as error:
        said[name] = str(error)
report = drgn_contrib.audit(prog, paths=[dump])
said["found"] = [(f.check, f.pfn) for f in report.findings if f.severity != "info"]
said["status"] = {c.status for c in report.checks} <= {"ran", "not-applicable"}
json.dump(said, sys.stdout)
"""


@pytest.fixture(params=RELEASES)
def old_drgn(request: pytest.FixtureRequest) -> "tuple[str, Path]":
    """A release, and where it is installed: beside the tests' own, not in its place."""
    release: str = request.param
    if sys.version_info >= (3, 12):
        pytest.skip("these releases have no wheels for newer Pythons")
    directory = made_dir("drgn") / release
    with lock("drgn"):
        if not directory.exists():
            argv = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
            argv += ["--only-binary", ":all:", f"drgn=={release}", "--target", f"{directory}.new"]
            subprocess.run(argv, check=True)
            Path(f"{directory}.new").rename(directory)
    return release, directory


def test_old_drgn(old_drgn: "tuple[str, Path]", tmp_path: Path) -> None:
    """The library works where it is given the dump's file, and takes no other."""
    release, directory = old_drgn
    dump = ROOT / "vmcores" / "v7.2-hwpoison-leak.kdump"
    other = ROOT / "vmcores" / "v6.12-healthy.kdump"
    environment = {"PYTHONPATH": f"{directory}:{ROOT}", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(dump), str(other)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["drgn"] == release
    assert "pass the dump's files" in said["without"]
    assert "is not the dump" in said["other"]
    expected = json.loads(dump.with_suffix(".json").read_text())["expected"]
    assert sorted(map(tuple, said["found"])) == sorted((f["check"], f["pfn"]) for f in expected)
    assert said["status"]
