/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the formats of csrc/source/ share with each other. */
#ifndef PA_SOURCE_INTERNAL_H
#define PA_SOURCE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/file.h"
#include "source/pieces.h"
#include "source/source.h"

/* Takes over @file, also on failure. */
struct pa_error *pa_source_elf(struct pa_file *file, struct pa_source **ret);

/* Takes over the @nr_files files (not the array), also on failure. */
struct pa_error *pa_source_kdump(struct pa_file **files, size_t nr_files,
				 struct pa_source **ret);

/* /proc/kcore. Takes over @fd, also on failure. */
struct pa_error *pa_source_kcore(int fd, const char *path,
				 struct pa_source **ret);

/* Frees what @info owns. */
void pa_source_info_deinit(struct pa_source_info *info);

/* Adds a range that begins at or above all before; neighbours are merged. */
struct pa_error *pa_source_add_range(struct pa_source_info *info,
				     uint64_t start, uint64_t end);

/* Sets complete = false; the first reason stays. */
void pa_source_incomplete(struct pa_source_info *info, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The run at @phys of a settled table of physical memory, whose tags are
 * enum pa_presence: how long it is, and what it is. *@piece_ret is the piece
 * if it is present, else NULL.
 */
void pa_table_run(const struct pa_pieces *table, uint64_t phys, uint64_t length,
		  size_t *hint, struct pa_run *ret,
		  const struct pa_piece **piece_ret);

#endif
