# SPDX-License-Identifier: LGPL-2.1-or-later
"""`python3 scripts/lab CMD`: the directory is a package, but is run as a script."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from lab.cli import main

    sys.exit(main())
