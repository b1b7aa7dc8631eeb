# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plugin for sos report: an audit of the running kernel's memory map, within bounds."""

from sos.report.plugins import DebianPlugin, IndependentPlugin, Plugin, RedHatPlugin, UbuntuPlugin


# Old releases of sos (4.0, Debian 12) load only what names the distribution.
class Pageaudit(Plugin, IndependentPlugin, RedHatPlugin, DebianPlugin, UbuntuPlugin):
    """What pageaudit says of the running kernel."""

    short_desc = "Audit of the kernel's map of physical memory"
    plugin_name = "pageaudit"
    profiles = ("kernel", "memory", "debug")
    packages = ("drgn-contrib",)
    commands = ("pageaudit",)

    def setup(self) -> None:
        """Collect the report of one audit as text and as JSON."""
        bounds = "--live --max-cpu 25 --max-memory 1024"
        directory = self.get_cmd_output_path()
        self.add_cmd_output(
            f"pageaudit {bounds} --json {directory}/pageaudit.json",
            suggest_filename="pageaudit.txt",
            timeout=300,
        )
