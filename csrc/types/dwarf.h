/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The DWARF filler: a layout from debug info files. */
#ifndef PA_TYPES_DWARF_H
#define PA_TYPES_DWARF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "types/layout.h"

/*
 * A layout from the vmlinux (or its separate debug file) that @paths starts
 * with; what its types lack is looked for in the further files, which are
 * debug files of modules. Addresses of symbols move by @kaslr_offset,
 * VMCOREINFO's KERNELOFFSET.
 *
 * With a @cache_dir (NULL: none) a result for the same files is taken from
 * there, or else left there; a cache that can't be used or written is no
 * error.
 *
 * Does not ask whether the file is the dumped kernel's (pa_elf_build_id()
 * tells), nor whether the layout is complete (pa_layout_check() does).
 */
struct pa_error *pa_layout_from_dwarf(const char *const *paths, size_t nr_paths,
				      uint64_t kaslr_offset,
				      const char *cache_dir,
				      struct pa_layout *ret);

#endif
