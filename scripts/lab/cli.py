# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's command line."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Optional, Sequence

from . import kernels, make, makedump, recipes, ship
from .paths import lab_dir
from .run import LabError


def _fetch(args: argparse.Namespace) -> None:
    for key in args.kernel or ("v5.10", "v6.1", "v6.12", "v7"):
        kernel = kernels.fetch(key)
        print(f"{key}\t{kernel.release}\t{kernel.root}")


def _list(_: argparse.Namespace) -> None:
    print("kernels:")
    for key in kernels.known():
        here = (lab_dir() / "kernels" / key / "kernel.json").exists()
        print(f"  {key:14}{'fetched' if here else ''}")
    print("recipes:")
    for recipe in recipes.RECIPES.values():
        made = [k for k in kernels.known() if make.dump_path(k, recipe.name, "meta.json").exists()]
        print(f"  {recipe.name:18}{recipe.what}")
        if made:
            print(f"  {'':18}made for {', '.join(made)}")
    print("varieties: elf, " + ", ".join([*makedump.VARIETIES, *makedump.DERIVED]))


def _make(args: argparse.Namespace) -> None:
    for recipe in args.recipe:
        print(make.dump(args.kernel, recipe, args.force).vmcore)


def _variety(args: argparse.Namespace) -> None:
    dump = make.dump(args.kernel, args.recipe)
    for path in makedump.variety(dump.vmcore, args.variety):
        print(path)


def _makedumpfile(args: argparse.Namespace) -> None:
    argv = makedump.program() + args.argument
    os.execv(argv[0], argv)


def _ship(args: argparse.Namespace) -> None:
    for name in args.name or ship.SHIPPED:
        for path in ship.ship(name):
            print(path)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/lab", description="Makes real vmcores of real kernels to test on."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    sub = commands.add_parser("fetch", help="fetch kernels from Debian")
    sub.add_argument("kernel", nargs="*", help="keys; the four main ones when left out")
    sub.set_defaults(run=_fetch)

    sub = commands.add_parser("list", help="kernels, recipes, and what was made of them")
    sub.set_defaults(run=_list)

    sub = commands.add_parser("make", help="make dumps, print the vmcores' paths")
    sub.add_argument("kernel")
    sub.add_argument("recipe", nargs="+")
    sub.add_argument("--force", action="store_true", help="make it again")
    sub.set_defaults(run=_make)

    sub = commands.add_parser("variety", help="a dump in another format, by makedumpfile")
    sub.add_argument("kernel")
    sub.add_argument("recipe")
    sub.add_argument("variety")
    sub.set_defaults(run=_variety)

    sub = commands.add_parser(
        "makedumpfile",
        help="run a makedumpfile that knows new kernels",
        # All that follows is for makedumpfile.
        prefix_chars="\0",
        add_help=False,
    )
    sub.add_argument("argument", nargs="*")
    sub.set_defaults(run=_makedumpfile)

    sub = commands.add_parser("ship", help="make the small dumps under vmcores/ again")
    sub.add_argument("name", nargs="*")
    sub.set_defaults(run=_ship)

    args = parser.parse_args(argv)
    try:
        args.run(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0
