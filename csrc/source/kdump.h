/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kdump-compressed dump, shared by its readers. */
#ifndef PA_SOURCE_KDUMP_H
#define PA_SOURCE_KDUMP_H

#include <libkdumpfile/kdumpfile.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "source/kdump_part.h"
#include "source/source.h"

#define PA_KDUMP_PAGE_LOCKS 64

struct pa_kdump_source {
	struct pa_source base;
	/* Owned; each part's at the same index. */
	struct pa_file **files;
	/* Sorted by start_pfn, disjoint; some may be empty. */
	struct pa_kdump_part *parts;
	size_t nr_parts;
	kdump_ctx_t *ctx;
	/* Of what libkdumpfile's handles share: clones, cache size. */
	pthread_mutex_t lock;
	/*
	 * Somebody waits for libkdumpfile's lock as a writer. Its readers hold
	 * that lock nearly all the time and would starve him, so they step
	 * aside.
	 */
	atomic_bool writer_waits;
	size_t nr_readers;
	size_t cache_pages;
	/*
	 * libkdumpfile (to 0.5.5 at least) lets two threads that miss the same
	 * page in its cache decompress it both, into one buffer, from which
	 * the faster one copies already. So one page, one thread.
	 */
	pthread_mutex_t page_locks[PA_KDUMP_PAGE_LOCKS];
};

/* struct pa_source_ops of these sources. */
struct pa_error *pa_kdump_reader_create(struct pa_source *base,
					struct pa_reader **ret);
void pa_kdump_reader_destroy(struct pa_reader *base);
struct pa_error *pa_kdump_run(struct pa_reader *base, uint64_t phys,
			      uint64_t length, uint8_t *buffer,
			      struct pa_run *ret);

#endif
