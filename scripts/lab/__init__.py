# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab: real vmcores of real kernels, healthy and broken, made on this machine."""
