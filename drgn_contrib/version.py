# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one place that has the version; pyproject.toml reads it here."""

VERSION = "0.1.0"
