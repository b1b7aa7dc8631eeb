/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block I/O: struct bio and struct bio_set, block/bio.c. */
#ifndef PA_KERNEL_BIO_H
#define PA_KERNEL_BIO_H

#include "kernel/kernel.h"

/* What a bio has of the pages that it names: bio_release_pages(). */
enum pa_bio_pages {
	/* They are another's: the page cache's, the parent's, a buffer's. */
	PA_BIO_NO_PAGES,
	/* A reference each. */
	PA_BIO_GETS,
	/* A pin each. */
	PA_BIO_PINS,
	/*
	 * Before v6.5, where a task waits in submit_bio_wait(): a reference
	 * each if it is there for direct I/O to a block device.
	 */
	PA_BIO_BY_WAITER,
};

struct pa_bio {
	/* Virtual addresses. */
	uint64_t address, next, pool, vecs;
	/* The bio that waits for this part of it: bio_chain(); or 0. */
	uint64_t parent;
	uint32_t nr_vecs;
	enum pa_bio_pages pages;
	/*
	 * At its end, and not freed yet: the first of several of one request
	 * of a task. The pages were released, or are about to be
	 * (blkdev_bio_end_io(), iomap_dio_bio_end_io()).
	 */
	bool ended;
	/*
	 * Once it is at its end it waits on dio->bio_list, with its pages, for
	 * the task that submitted it (dio_bio_end_io(), dio_bio_reap()).
	 */
	bool reaped;
};

/* A bio_set, whose bios are objects of a slab cache. */
struct pa_bio_set {
	uint64_t address;
	/* Of its kmem_cache. */
	uint64_t cache;
	/* From the object's start to the bio. */
	uint32_t front_pad;
};

/* No struct bio is larger. */
#define PA_BIO_MAX_BYTES 1024

/* Whether the kernel has what the functions below need. */
bool pa_bio_knows(const struct pa_layout *layout);

/* @bytes: all of the struct bio at @address. */
void pa_bio_parse(const struct pa_layout *layout, const uint8_t *bytes,
		  uint64_t address, struct pa_bio *ret);

/* False stops. @page: what the pointer at @slot names, or a page behind it. */
typedef bool (*pa_bio_page_fn)(void *arg, uint64_t index, uint64_t slot,
			       uint64_t page);

/* The pages of all vectors: bio_for_each_segment_all(). */
struct pa_error *pa_bio_visit_pages(const struct pa_kernel *kernel,
				    struct pa_memory *memory,
				    const struct pa_bio *bio,
				    pa_bio_page_fn visit, void *arg);

/* PA_ERROR_CORRUPT if what is at @address can't be one. */
struct pa_error *pa_bio_set_read(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 uint64_t address, struct pa_bio_set *ret);

/* Called with the address of a kmem_cache or of a bio; false stops. */
typedef bool (*pa_bio_visit_fn)(void *arg, uint64_t address);

/* The caches that bios are from: bio_slabs. */
struct pa_error *pa_bio_caches_visit(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     pa_bio_visit_fn visit, void *arg);

/*
 * The bios that @set keeps although they are free: the reserve of its mempool,
 * and those of the CPUs.
 */
struct pa_error *pa_bio_set_visit_free(const struct pa_kernel *kernel,
				       struct pa_memory *memory,
				       const struct pa_bio_set *set,
				       pa_bio_visit_fn visit, void *arg);

#endif
