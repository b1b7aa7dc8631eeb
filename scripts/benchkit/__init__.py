# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark: what scripts/bench runs."""
