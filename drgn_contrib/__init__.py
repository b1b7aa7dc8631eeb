# SPDX-License-Identifier: LGPL-2.1-or-later
"""pageaudit: an audit of the Linux kernel's map of physical memory, on drgn."""
