/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kdump-compressed dump, shared by its readers. */
#ifndef PA_SOURCE_KDUMP_H
#define PA_SOURCE_KDUMP_H

#include <libkdumpfile/kdumpfile.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "source/kdump_part.h"
#include "source/source.h"

struct pa_kdump_source {
	struct pa_source base;
	/* Owned; each part's at the same index. */
	struct pa_file **files;
	/* Sorted by start_pfn, disjoint; some may be empty. */
	struct pa_kdump_part *parts;
	size_t nr_parts;
	/* What libkdumpfile opens; borrowed from the files. */
	int *fds;
	size_t nr_fds;
	/* Handles that no reader has now, owned; under the lock. */
	pthread_mutex_t lock;
	struct {
		kdump_ctx_t **items;
		size_t length;
		size_t capacity;
	} idle;
};

/*
 * Opens the dump with libkdumpfile for the first time, after all else is known
 * of it. The handle goes to the idle ones.
 */
struct pa_error *pa_kdump_library_init(struct pa_kdump_source *source);
void pa_kdump_library_deinit(struct pa_kdump_source *source);

/* A handle for one thread, until it gives it back. */
struct pa_error *pa_kdump_handle_take(struct pa_kdump_source *source,
				      kdump_ctx_t **ret);
void pa_kdump_handle_give(struct pa_kdump_source *source, kdump_ctx_t *ctx);

/* struct pa_source_ops of these sources. */
struct pa_error *pa_kdump_reader_create(struct pa_source *base,
					struct pa_reader **ret);
void pa_kdump_reader_destroy(struct pa_reader *base);
struct pa_error *pa_kdump_run(struct pa_reader *base, uint64_t phys,
			      uint64_t length, uint8_t *buffer,
			      struct pa_run *ret);

#endif
