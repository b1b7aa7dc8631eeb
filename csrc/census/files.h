/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What open files give access to. The struct files themselves are taken from
 * their slab cache: that finds those in no task's table, too (SCM_RIGHTS in
 * flight, io_uring's fixed files, files that the kernel opened).
 */
#ifndef PA_CENSUS_FILES_H
#define PA_CENSUS_FILES_H

#include "census/holder.h"
#include "kernel/file.h"

struct pa_files {
	/* Objects of each kind, each once, by address. */
	PA_ARRAY(uint64_t) objects[PA_NR_OPEN_FILE_KINDS];
	/* Slabs and files that could not be read. */
	uint64_t unreadable;
};

/*
 * All open files of @walk's kernel. Built at the first call, for all holders:
 * call it from a row's prepare, where there is but one thread. What could not
 * be read is added to @walk. PA_ERROR_MISSING where files of @kind can't be
 * told.
 */
struct pa_error *pa_files_get(struct pa_holder_walk *walk,
			      enum pa_open_file_kind kind,
			      const struct pa_files **ret);
void pa_files_destroy(struct pa_files *files);

#endif
