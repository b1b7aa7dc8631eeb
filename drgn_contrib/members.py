# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a word of memory is by drgn's types: a member, a variable, or part of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Tuple

if TYPE_CHECKING:
    import drgn

    from drgn_contrib.symbols import Symbols

#: Types of caches that are not named as their type is.
_TYPES = {
    "anon_vma": "anon_vma",
    "cred_jar": "cred",
    "ext4_inode_cache": "ext4_inode_info",
    "files_cache": "files_struct",
    "filp": "file",
    "fs_cache": "fs_struct",
    "inode_cache": "inode",
    "mnt_cache": "mount",
    "proc_inode_cache": "proc_inode",
    "radix_tree_node": "xa_node",
    "shmem_inode_cache": "shmem_inode_info",
    "sighand_cache": "sighand_struct",
    "signal_cache": "signal_struct",
    "skbuff_fclone_cache": "sk_buff_fclones",
    "skbuff_head_cache": "sk_buff",
    "sock_inode_cache": "socket_alloc",
}


#: What a pointer to one of these names is a page.
_PAGES = ("page", "folio", "slab", "ptdesc", "zpdesc", "netmem_desc")


#: Names of pfns, and those of the ends of ranges, which are no pages themselves.
_PFN = re.compile(r"(^|_)pfns?$")
_BOUND = re.compile(r"(^|_)(start|end|base|first|last|min|max|low|lowest|high|highest|nr)(_|$)")


@dataclass(frozen=True)
class Named:
    """What a word is."""

    #: "struct file.f_mapping", "console_printk[2]", "cc.zone".
    path: str
    #: Its type by its name.
    type: str
    #: By its type it is a pointer to a page.
    is_page: bool
    #: By its name, or its type's, it is a pfn.
    is_pfn: bool


class Members:
    """Names words as far as drgn has the types; None knows nothing."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._prog = symbols.program()

    def of_place(self, place: Mapping[str, Any]) -> Optional[Named]:
        """What lies at a place, as Kernel.search() has them."""
        if place["kind"] == "slab" and place["cache"]:
            return self.of_object(place["cache"], place["address"] - place["start"])
        if place["kind"] == "per-cpu":
            return self.of_variable(place["per_cpu"])
        if place["kind"] == "kernel image":
            return self.of_variable(place["address"])
        if place["kind"] == "stack" and place["task"]:
            return self.of_stack(place["task"], place["address"])
        return None

    def of_object(self, cache: str, offset: int) -> Optional[Named]:
        """What lies @offset bytes into an object of @cache."""
        if self._prog is None:
            return None
        # "dentry(12:system.slice)" is what an old kernel's memory cgroup has of its own.
        base = re.sub(r"\(.*", "", cache)
        type_name = "bio" if base.startswith("bio-") else _TYPES.get(base, base)
        try:
            type_ = self._prog.type(f"struct {type_name}")
        except (LookupError, SyntaxError, ValueError):
            return None
        return _named(f"struct {type_name}.", type_, offset)

    def of_variable(self, address: int) -> Optional[Named]:
        """The static variable at an address; of a per-cpu one, where it was linked."""
        # Not drgn's symbols: where per-cpu variables are linked at 0, it has them elsewhere.
        found = self._symbols.name(address)
        if self._prog is None or found is None:
            return None
        name = found.partition("+")[0]
        try:
            variable = self._prog.variable(name)
        except LookupError:
            return None
        if variable.address_ is None:
            return None
        return _named(name, variable.type_, address - variable.address_)

    def of_stack(self, task: int, address: int) -> Optional[Named]:
        """The local variable that a task's function keeps at an address of the stack."""
        import drgn

        if self._prog is None:
            return None
        try:
            trace = self._prog.stack_trace(drgn.Object(self._prog, "struct task_struct *", task))
        except (LookupError, ValueError, drgn.FaultError):
            return None
        for name, variable in _locals(trace):
            found = _named(name, variable.type_, address - (variable.address_ or 0))
            if found is not None:
                return found
        return None


def _locals(trace: drgn.StackTrace) -> Iterator[Tuple[str, drgn.Object]]:
    """All that lie in memory."""
    for frame in trace:
        for name in frame.locals():
            try:
                variable = frame[name]
            except (LookupError, ValueError):
                continue
            if variable.address_ is not None:
                yield name, variable


def _named(prefix: str, type_: drgn.Type, offset: int) -> Optional[Named]:
    from drgn import sizeof

    try:
        inside = 0 <= offset < sizeof(type_)
    except TypeError:
        inside = False
    found = _member(type_, offset) if inside else None
    if found is None:
        return None
    path, leaf = found
    joint = "." if path and not path.startswith("[") and not prefix.endswith(".") else ""
    full = f"{prefix}{joint}{path}".rstrip(".")
    return Named(full, leaf.type_name(), is_page_pointer(leaf), _is_pfn(full, leaf))


def _is_pfn(path: str, type_: drgn.Type) -> bool:
    """Whether a number names a page, and not where something begins or ends."""
    from drgn import TypeKind, sizeof

    is_typed = False
    while type_.kind == TypeKind.TYPEDEF:
        is_typed = is_typed or type_.name.endswith("pfn_t")
        type_ = type_.type
    if type_.kind != TypeKind.INT or sizeof(type_) != 8:
        return False
    name = re.sub(r"\[\d+\]", "", path).rpartition(".")[2]
    return is_typed or _PFN.search(name) is not None and _BOUND.search(name) is None


def is_page_pointer(type_: drgn.Type) -> bool:
    """Whether what has the type names a page, or one of its other names."""
    from drgn import TypeKind

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    return (
        type_.kind == TypeKind.POINTER
        and type_.type.kind == TypeKind.STRUCT
        and type_.type.tag in _PAGES
    )


def _member(type_: drgn.Type, offset: int) -> Optional[Tuple[str, drgn.Type]]:
    """The path to what lies at @offset of a type, down to what has no members, and its type."""
    from drgn import TypeKind, sizeof

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind == TypeKind.ARRAY:
        element = sizeof(type_.type)
        if not element or offset >= sizeof(type_):
            return None
        rest = _member(type_.type, offset % element)
        if rest is None:
            return None
        path, leaf = rest
        joint = "." if path and not path.startswith("[") else ""
        return f"[{offset // element}]{joint}{path}", leaf
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION):
        return "", type_
    for member in type_.members or ():
        if member.bit_field_size:
            continue
        start = member.offset
        try:
            size = sizeof(member.type)
        except TypeError:
            continue
        if not start <= offset < start + size:
            continue
        rest = _member(member.type, offset - start)
        if rest is None:
            continue
        path, leaf = rest
        if member.name is None:
            return path, leaf
        joint = "." if path and not path.startswith("[") else ""
        return f"{member.name}{joint}{path}", leaf
    return None
