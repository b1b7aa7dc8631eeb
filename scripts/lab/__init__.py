# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab: real vmcores of real kernels, healthy and broken, made on this machine.

import lab
dump = lab.dump("v6.12", "light")
dump.vmcore, dump.vmlinux, dump.truth("proc/zoneinfo"), dump.meta
"""

from .make import Dump, dump, existing
from .run import LabError

__all__ = ["Dump", "LabError", "dump", "existing"]
