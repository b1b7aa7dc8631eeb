// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Handles of libkdumpfile, one a thread.
 *
 * They are not clones of one handle, though libkdumpfile has kdump_clone() for
 * this. Clones share their caches, and (in all of 0.5.0 to 0.5.4 that we read)
 * references to cache entries are dropped without the lock under which they are
 * taken. When two threads miss one page, both decompress it into one buffer;
 * since 0.5.3 a mapping of the file may go away under the thread that reads it.
 * Handles of their own share nothing, and wait for nobody. What that costs is a
 * table of the runs of dumped pages for each, of 24 bytes a run.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "source/kdump.h"

/*
 * A miss walks the cache and its ghost entries, so that its default of 1024
 * pages costs more than decompressing does. We read page after page, hardly any
 * of them twice.
 */
#define CACHE_PAGES 32

/*
 * Before 0.5.2 (its commit 97c716a424a8) kdump_free() freed the attributes of an
 * open dump before it took its hooks out of them. Where the C library had given
 * their memory back meanwhile, the process died; where another thread had it,
 * that thread's data was changed. An abandoned handle costs two megabytes and the
 * maps of its file cache. AddressSanitizer holds freed memory back, and leaks are
 * what it looks for.
 */
#if KDUMPFILE_VERSION >= KDUMPFILE_MKVER(0, 5, 2) || \
	defined(__SANITIZE_ADDRESS__)
#define FREES_HANDLES true
#else
#define FREES_HANDLES false
#endif

static void handle_free(kdump_ctx_t *ctx)
{
	if (FREES_HANDLES)
		kdump_free(ctx);
}

/* *@ctx_ret also on failure, for its message; NULL if out of memory. */
static kdump_status handle_open(const struct pa_kdump_source *source,
				kdump_ctx_t **ctx_ret)
{
	kdump_ctx_t *ctx = kdump_new();
	kdump_status status;

	*ctx_ret = ctx;
	if (!ctx)
		return KDUMP_ERR_SYSTEM;
	status = kdump_set_number_attr(ctx, "cache.size", CACHE_PAGES);
	if (status != KDUMP_OK)
		return status;
	return kdump_open_fdset(ctx, (unsigned int)source->nr_fds, source->fds);
}

/* Consumes @ctx. */
static struct pa_error *handle_error(const struct pa_kdump_source *source,
				     kdump_ctx_t *ctx)
{
	if (!ctx)
		return &pa_error_no_memory;

	const char *reason = kdump_get_err(ctx);
	struct pa_error *err = pa_error_create(
		PA_ERROR_FORMAT, "%s: libkdumpfile cannot open the dump: %s",
		source->files[0]->path, reason ? reason : "no reason given");

	handle_free(ctx);
	return err;
}

/* Replaces flattened files by rearranged ones. */
static struct pa_error *rearrange(struct pa_kdump_source *source)
{
	for (size_t i = 0; i < source->nr_parts; i++) {
		struct pa_file *file = source->files[i];
		struct pa_error *err;
		int fd;

		if (!file->flattened)
			continue;
		err = pa_file_rearrange(file, &fd);
		if (err)
			return err;
		for (size_t j = 0; j < source->nr_fds; j++) {
			if (source->fds[j] == file->fd)
				source->fds[j] = fd;
		}
		/* The map does without its descriptor. */
		close(file->fd);
		file->fd = fd;
	}
	return NULL;
}

static bool number_is(kdump_ctx_t *ctx, const char *key, kdump_num_t wanted)
{
	kdump_num_t number = 0;

	return kdump_get_number_attr(ctx, key, &number) == KDUMP_OK &&
	       number == wanted;
}

struct pa_error *pa_kdump_library_init(struct pa_kdump_source *source)
{
	bool flattened = false;
	kdump_ctx_t *ctx;
	kdump_status status;

	source->fds = calloc(source->nr_parts, sizeof(*source->fds));
	if (!source->fds || !pa_array_reserve(&source->idle, 1))
		return &pa_error_no_memory;
	/*
	 * Where the machine is small for makedumpfile's split block, all but
	 * one part are empty. libkdumpfile searches parts by their ends, and
	 * would look into an empty one with the same end.
	 */
	for (size_t i = 0; i < source->nr_parts; i++) {
		if (source->parts[i].start_pfn < source->parts[i].end_pfn ||
		    (!source->nr_fds && i == source->nr_parts - 1))
			source->fds[source->nr_fds++] = source->files[i]->fd;
		flattened |= source->files[i]->flattened;
	}
	status = handle_open(source, &ctx);
	if (ctx && status != KDUMP_OK && flattened) {
		/*
		 * libkdumpfile reads flattened dumps since 0.5.3 only, and none
		 * that were cut short.
		 */
		handle_free(ctx);

		struct pa_error *err = rearrange(source);

		if (err)
			return err;
		status = handle_open(source, &ctx);
	}
	if (status != KDUMP_OK)
		return handle_error(source, ctx);
	pa_array_append(&source->idle, ctx);
	/* It guesses what kind of dump this is; we must mean the same. */
	if (!number_is(ctx, KDUMP_ATTR_PTR_SIZE, 8) ||
	    !number_is(ctx, KDUMP_ATTR_PAGE_SIZE, PA_KDUMP_PAGE_BYTES))
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: a kdump-compressed dump with a "
				       "damaged header",
				       source->files[0]->path);
	return NULL;
}

void pa_kdump_library_deinit(struct pa_kdump_source *source)
{
	for (size_t i = 0; i < source->idle.length; i++)
		handle_free(source->idle.items[i]);
	pa_array_deinit(&source->idle);
	free(source->fds);
}

struct pa_error *pa_kdump_handle_take(struct pa_kdump_source *source,
				      kdump_ctx_t **ret)
{
	kdump_ctx_t *ctx = NULL;

	pthread_mutex_lock(&source->lock);
	if (source->idle.length)
		ctx = source->idle.items[--source->idle.length];
	pthread_mutex_unlock(&source->lock);
	if (!ctx && handle_open(source, &ctx) != KDUMP_OK)
		return handle_error(source, ctx);
	*ret = ctx;
	return NULL;
}

/*
 * Kept for the next reader. (And in 0.5.1 handle_free() writes to memory that it
 * has freed already, which is safe while no other thread allocates.)
 */
void pa_kdump_handle_give(struct pa_kdump_source *source, kdump_ctx_t *ctx)
{
	pthread_mutex_lock(&source->lock);

	bool kept = pa_array_append(&source->idle, ctx);

	pthread_mutex_unlock(&source->lock);
	if (!kept)
		handle_free(ctx);
}
