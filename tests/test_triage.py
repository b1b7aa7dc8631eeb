# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scripts do with an audit: the hook for after a crash, and the summary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "vmcores" / "v7.2-hwpoison-leak.kdump"


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
    hook = [str(ROOT / "scripts" / "triage" / "kdump-hook")]
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
