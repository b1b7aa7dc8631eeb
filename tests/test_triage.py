# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scripts do with an audit: the hook for after a crash, and the summary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "vmcores" / "v7.2-hwpoison-leak.kdump"
HOOK = ROOT / "scripts" / "triage" / "kdump-hook"
#: Says that it ran, leaves a report, and ends as it is told to.
COMMAND = """#!/bin/sh
echo "$1" >>"$RAN"
[ -z "${REPORT-yes}" ] || echo '{}' >"$6"
echo said >&2
exit "$STATUS"
"""


def test_kdump_hook(tmp_path: Path) -> None:
    """Each new dump gets its report; one that has it is left alone."""
    crash = tmp_path / "crash" / "202501010000"
    crash.mkdir(parents=True)
    shutil.copy(SHIPPED, crash / "dump.202501010000")
    command = tmp_path / "pageaudit"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from drgn_contrib.cli import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)
    environment = {
        "PATH": "/usr/bin:/bin",
        "KDUMP_DIR": str(crash.parent),
        "PAGEAUDIT": str(command),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    hook = [str(HOOK)]
    subprocess.run(hook, env=environment, check=True)
    assert (crash / "pageaudit.status").read_text() == "1\n"
    assert not (crash / "pageaudit.err").exists()
    report = json.loads((crash / "pageaudit.json").read_text())
    assert report["findings"][0]["severity"] == "bug"
    assert "BUG " in (crash / "pageaudit.txt").read_text()
    assert "</html>" in (crash / "pageaudit.html").read_text()
    (crash / "pageaudit.txt").unlink()
    subprocess.run(hook, env=environment, check=True)
    assert not (crash / "pageaudit.txt").exists()

    line = subprocess.run(
        [str(command), str(crash / "dump.202501010000"), "--summary"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert line.returncode == 1
    first = report["findings"][0]
    assert line.stdout.count("\n") == 1
    for words in (report["target"]["release"], first["check"], f"pfn {first['pfn']:#x}"):
        assert words in line.stdout


class Hook:
    """The hook with a command that only pretends, and what dumps that was run for."""

    def __init__(self, path: Path) -> None:
        self.crash = path / "crash"
        self.crash.mkdir()
        self.ran = path / "ran"
        self.command = path / "pageaudit"
        self.command.write_text(COMMAND)
        self.command.chmod(0o755)

    def dump(self, name: str) -> Path:
        dump = self.crash / name
        dump.parent.mkdir(exist_ok=True)
        dump.write_text("a dump")
        return dump

    def __call__(self, *dumps: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        self.ran.write_text("")
        return subprocess.run(
            [str(HOOK), *map(str, dumps)],
            env={
                "PATH": "/usr/bin:/bin",
                "KDUMP_DIR": str(self.crash),
                "PAGEAUDIT": str(self.command),
                "RAN": str(self.ran),
                "STATUS": "0",
                **variables,
            },
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    def runs(self) -> "list[str]":
        return [str(Path(line).relative_to(self.crash)) for line in self.ran.read_text().split()]


@pytest.fixture(name="kdump_hook")
def _kdump_hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


def test_kdump_hook_without_a_command(kdump_hook: Hook) -> None:
    """As with a venv that is not in systemd's PATH: the dump is not given up."""
    dump = kdump_hook.dump("127.0.0.1-2025/vmcore")
    done = kdump_hook(PAGEAUDIT="/nonexistent/pageaudit")
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert "there is no command /nonexistent/pageaudit: PAGEAUDIT" in done.stderr
    assert list(dump.parent.iterdir()) == [dump]
    assert kdump_hook().returncode == 0
    assert kdump_hook.runs() == ["127.0.0.1-2025/vmcore"]
    assert (dump.parent / "pageaudit.status").read_text() == "0\n"


@pytest.mark.parametrize(
    ("status", "report", "final"),
    [
        *[(status, "yes", True) for status in (0, 1, 3)],
        (2, "", True),
        *[(status, "", False) for status in (0, 1, 3, 64, 126, 127, 130, 137)],
        (13, "yes", False),
    ],
)
def test_kdump_hook_tries_again(kdump_hook: Hook, status: int, report: str, final: bool) -> None:
    """What an audit came to is kept; one that did not come to anything is made again."""
    dump = kdump_hook.dump("2025/dump.2025")
    done = kdump_hook(STATUS=str(status), REPORT=report)
    assert done.returncode == (0 if final else 1)
    assert (dump.parent / "pageaudit.status").exists() is final
    assert ("was not audited" in done.stderr) is not final
    assert (dump.parent / "pageaudit.err").read_text() == "said\n"
    kdump_hook()
    assert len(kdump_hook.runs()) == (0 if final else 1)
    assert (dump.parent / "pageaudit.status").read_text() == f"{status if final else 0}\n"


def test_kdump_hook_takes_each_dump(kdump_hook: Hook) -> None:
    """Several in a directory, and others beside one whose reports can't be written."""
    names = ["1/vmcore", "2/dump.1", "2/dump.2", "3/vmcore"]
    dumps = [kdump_hook.dump(name) for name in names]
    (kdump_hook.crash / "1" / "pageaudit.txt").mkdir()
    done = kdump_hook()
    assert done.returncode == 1
    assert sorted(kdump_hook.runs()) == names[1:]
    kept = {str(p.relative_to(kdump_hook.crash)) for p in kdump_hook.crash.glob("*/*.status")}
    assert kept == {"2/pageaudit-dump.1.status", "2/pageaudit.status", "3/pageaudit.status"}
    (kdump_hook.crash / "1" / "pageaudit.txt").rmdir()
    assert kdump_hook(*dumps).returncode == 0
    assert kdump_hook.runs() == names[:1]
