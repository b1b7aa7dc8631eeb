# SPDX-License-Identifier: LGPL-2.1-or-later
"""drgn's types as the oracle of our layouts."""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Tuple

import drgn

from drgn_contrib._pageaudit import Layout

#: An entry's kind and name, and all else that Layout.entries() has of it.
Entries = Dict[Tuple[str, str], Dict[str, Any]]

#: What is in an entry whatever its kernel.
_OF_THE_TABLE = ("kind", "name", "required", "note")


def entries(layout: Layout) -> Entries:
    """The entries of a layout by kind and name."""
    return by_key(layout.entries())


def by_key(listed: "Iterable[Dict[str, Any]]") -> Entries:
    """What Layout.entries() lists."""
    return {
        (entry["kind"], entry["name"]): {
            key: value for key, value in entry.items() if key not in _OF_THE_TABLE
        }
        for entry in listed
    }


def differences(one: Entries, other: Entries) -> "list[Any]":
    """What two layouts say differently."""
    assert one.keys() == other.keys()
    return [(key, one[key], other[key]) for key in one if one[key] != other[key]]


def program(paths: Iterable[Path]) -> drgn.Program:
    """A Program with the debug info of these files and no memory."""
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    for path in paths:
        module = prog.extra_module(path.name, create=True)
        if isinstance(module, tuple):
            module = module[0]
        module.try_file(path, force=True)
        assert module.debug_file_path is not None
    return prog


def _strip(type_: drgn.Type) -> drgn.Type:
    while type_.kind == drgn.TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def _size(type_: drgn.Type) -> int:
    type_ = _strip(type_)
    if type_.kind == drgn.TypeKind.ARRAY:
        return (type_.length or 0) * _size(type_.type)
    return int(drgn.sizeof(type_))


def _member(prog: drgn.Program, name: str, spelling: str) -> "dict[str, int]":
    path = name.split(".")[1:]
    type_ = prog.type(spelling)
    bits = 0
    member = None
    for part in path:
        member = _strip(type_).member(part)
        bits += member.bit_offset
        type_ = member.type
    assert member is not None
    if member.bit_field_size is not None:
        size = (bits % 8 + member.bit_field_size + 7) // 8
        return {
            "offset": bits // 8,
            "size": size,
            "length": 0,
            "element_size": size,
            "bit_size": member.bit_field_size,
            "bit_offset": bits % 8,
        }
    type_ = _strip(type_)
    size = _size(type_)
    is_array = type_.kind == drgn.TypeKind.ARRAY
    length = 1
    while type_.kind == drgn.TypeKind.ARRAY:
        length *= type_.length or 0
        type_ = _strip(type_.type)
    return {
        "offset": bits // 8,
        "size": size,
        "length": length if is_array else 0,
        "element_size": _size(type_),
        "bit_size": 0,
        "bit_offset": 0,
    }


@contextlib.contextmanager
def _unknown_if_missing(entry: "dict[str, Any]") -> Iterator[None]:
    try:
        yield
    except LookupError:
        entry.update(known=False)
    else:
        entry.update(known=True)


@functools.lru_cache(maxsize=1)
def _clones(prog: drgn.Program) -> "dict[str, drgn.Symbol]":
    """Functions that there is a changed copy of only, by the name in the source."""
    return {
        symbol.name.partition(".")[0]: symbol
        for symbol in prog.symbols()
        if re.fullmatch(r"\w+\.(isra|constprop)\.\d+(\.(isra|constprop)\.\d+)*", symbol.name)
    }


def _symbol(prog: drgn.Program, name: str) -> drgn.Symbol:
    try:
        return prog.symbol(name)
    except LookupError:
        return _clones(prog)[name]


def oracle(prog: drgn.Program, table: Entries) -> Entries:
    """What drgn says of the things that our table lists; 0 of unknown ones."""
    # The table's members name their types without "struct" or "union".
    spellings = {name.split()[-1]: name for kind, name in table if kind == "type"}
    result: Entries = {}
    for key, ours in table.items():
        kind, name = key
        entry: "dict[str, Any]" = dict.fromkeys(ours, 0)
        result[key] = entry
        with _unknown_if_missing(entry):
            if kind == "type":
                type_ = prog.type(name)
                if not _strip(type_).is_complete():
                    raise LookupError
                entry["size"] = drgn.sizeof(type_)
            elif kind == "member":
                entry.update(_member(prog, name, spellings[name.split(".")[0]]))
            elif kind == "enumerator":
                entry["value"] = prog.constant(name).value_()
            else:
                entry["address"] = _symbol(prog, name).address
    return result
