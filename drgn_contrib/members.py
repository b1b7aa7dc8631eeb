# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an offset in a slab object is: the member of its type, by drgn's types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import drgn

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


class Members:
    """Names members as far as drgn has the types; None knows nothing."""

    def __init__(self, prog: Optional[drgn.Program]) -> None:
        self._prog = prog

    def name(self, cache: str, offset: int) -> Optional[str]:
        """ "struct file.f_mapping": what lies @offset bytes into an object of @cache."""
        if self._prog is None:
            return None
        # "dentry(12:system.slice)" is what an old kernel's memory cgroup has of its own.
        base = re.sub(r"\(.*", "", cache)
        type_name = "bio" if base.startswith("bio-") else _TYPES.get(base, base)
        try:
            type_ = self._prog.type(f"struct {type_name}")
        except (LookupError, SyntaxError, ValueError):
            return None
        path = _member(type_, offset)
        return f"struct {type_name}.{path}" if path else None


def _member(type_: drgn.Type, offset: int) -> Optional[str]:
    """The path to what lies at @offset of a type, down to what has no members."""
    from drgn import TypeKind, sizeof

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind == TypeKind.ARRAY:
        element = sizeof(type_.type)
        if not element or offset >= sizeof(type_):
            return None
        rest = _member(type_.type, offset % element)
        return f"[{offset // element}]" + (f".{rest}" if rest else "")
    if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION) or type_.members is None:
        return None
    for member in type_.members:
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
        if member.name is None:
            return rest
        if rest is None:
            return str(member.name)
        return f"{member.name}{rest}" if rest.startswith("[") else f"{member.name}.{rest}"
    return None
