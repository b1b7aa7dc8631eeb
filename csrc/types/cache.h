/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layouts on disk, one small file for each set of debug info files: walking
 * the DWARF of a kernel takes half a second, reading this one millisecond.
 *
 * The file's name has the build id and a hash of the table that the layout was
 * made for, so that it never has to be invalidated. Symbols are kept as the
 * vmlinux has them, without KASLR.
 */
#ifndef PA_TYPES_CACHE_H
#define PA_TYPES_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "types/elf_file.h"
#include "types/layout.h"

/*
 * Where the layout of @file with @modules is kept, owned by the caller; NULL
 * where one of them has no build id to know it by.
 */
struct pa_error *pa_cache_path(const struct pa_elf_file *file,
			       const char *const *modules, size_t nr_modules,
			       const char *cache_dir, char **ret);

/*
 * False if there is no such file, or it isn't exactly what pa_cache_store()
 * wrote for this user and this table; *@ret is untouched then.
 */
bool pa_cache_load(const char *path, struct pa_layout *ret);

/* Replaces the file in one step, or leaves it alone: failing is no error. */
void pa_cache_store(const char *path, const struct pa_layout *layout);

#endif
