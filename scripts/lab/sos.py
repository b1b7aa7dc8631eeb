# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's newest sos with our plugin, for a guest to run: what `sos report` collects there."""

from __future__ import annotations

from pathlib import Path

from . import apt, live
from .paths import lab_dir, lock

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "scripts" / "triage" / "sos_pageaudit.py"
#: It, and what it depends on, but for libmagic.
PACKAGES = ("sos", "python3-packaging", "python3-pexpect", "python3-ptyprocess", "python3-yaml")
#: All that a report without an archive imports.
_IMPORTS = """
import contextlib, sys
# It warns that it can't ask libmagic.
with contextlib.redirect_stdout(sys.stderr):
    from sos import SoS, policies
    SoS(["report"])
    policies.load()
print("\\n".join(m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)))
"""
#: To be run in the guest by its Python; a directory is named that is to hold the report.
REPORT = (
    "from sos import SoS; import sys; SoS(['report', '--batch', '--build', '-o', 'pageaudit', "
    "'--config-file', '/etc/sos.conf', '--tmp-dir', sys.argv[1]]).execute()"
)


def files() -> "dict[str, bytes]":
    """What a guest that has our Python needs besides."""
    root = lab_dir() / "sos"
    with lock("sos"):
        if not root.exists():
            new = root.with_name("sos.new")
            apt.unpack_with_libs(apt.Apt(), PACKAGES, new)
            new.rename(root)
    return {
        **live.module_files(_IMPORTS, root / "usr/lib/python3/dist-packages"),
        "site/sos/report/plugins/pageaudit.py": PLUGIN.read_bytes(),
        "etc/sos.conf": b"",
        "etc/debian_version": b"13\n",
        "etc/os-release": b"ID=debian\nNAME=Debian\nVERSION_ID=13\n",
    }
