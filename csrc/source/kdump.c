// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kdump-compressed dumps (makedumpfile, QEMU), read by libkdumpfile: plain,
 * flattened, and --split sets.
 */
#include <elf.h>
#include <libkdumpfile/kdumpfile.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "source/internal.h"
#include "source/kdump_part.h"

#define NR_PAGE_LOCKS 64

struct kdump_source {
	struct pa_source base;
	/* Owned. */
	struct pa_file **files;
	/* Sorted by start_pfn, disjoint. */
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
	pthread_mutex_t page_locks[NR_PAGE_LOCKS];
};

struct kdump_reader {
	struct pa_reader base;
	kdump_ctx_t *ctx;
	size_t hint;
};

static void kdump_destroy(struct pa_source *base)
{
	struct kdump_source *source = (struct kdump_source *)base;

	/* Before the files: libkdumpfile does not own the descriptors. */
	if (source->ctx)
		kdump_free(source->ctx);
	for (size_t i = 0; i < source->nr_parts; i++) {
		if (source->parts)
			pa_kdump_part_deinit(&source->parts[i]);
		if (source->files)
			pa_file_destroy(source->files[i]);
	}
	free(source->parts);
	free(source->files);
	pthread_mutex_destroy(&source->lock);
	for (size_t i = 0; i < NR_PAGE_LOCKS; i++)
		pthread_mutex_destroy(&source->page_locks[i]);
	pa_source_info_deinit(&base->info);
	free(source);
}

static void writer_begin(struct kdump_source *source)
{
	pthread_mutex_lock(&source->lock);
	atomic_store(&source->writer_waits, true);
}

static void writer_end(struct kdump_source *source)
{
	atomic_store(&source->writer_waits, false);
	pthread_mutex_unlock(&source->lock);
}

/*
 * Each read holds one page of the cache; if there are fewer than threads, reads
 * fail with KDUMP_ERR_BUSY. But a miss walks the whole cache under a lock, and
 * we hardly ever read a page twice: keep it small (its default is 1024).
 */
static bool fit_cache(struct kdump_source *source)
{
	size_t wanted = 8 + 2 * source->nr_readers;

	if (wanted <= source->cache_pages)
		return true;
	if (kdump_set_number_attr(source->ctx, "cache.size", wanted) !=
	    KDUMP_OK)
		return false;
	source->cache_pages = wanted;
	return true;
}

static struct pa_error *kdump_reader_create(struct pa_source *base,
					    struct pa_reader **ret)
{
	struct kdump_source *source = (struct kdump_source *)base;
	struct kdump_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->base.source = base;
	writer_begin(source);
	source->nr_readers++;
	if (fit_cache(source))
		reader->ctx = kdump_clone(source->ctx, 0);
	if (!reader->ctx)
		source->nr_readers--;
	writer_end(source);
	if (!reader->ctx) {
		free(reader);
		return &pa_error_no_memory;
	}
	*ret = &reader->base;
	return NULL;
}

static void kdump_reader_destroy(struct pa_reader *base)
{
	struct kdump_reader *reader = (struct kdump_reader *)base;
	struct kdump_source *source = (struct kdump_source *)base->source;

	writer_begin(source);
	kdump_free(reader->ctx);
	source->nr_readers--;
	writer_end(source);
	free(reader);
}

/* Part of one page by libkdumpfile; *@ok says whether it could be read. */
static struct pa_error *decompress(struct kdump_reader *reader, uint64_t phys,
				   uint64_t length, uint8_t *buffer, bool *ok)
{
	struct kdump_source *source =
		(struct kdump_source *)reader->base.source;
	/* Threads walk in step with each other: spread their pfns well. */
	uint64_t hash = (phys >> PA_KDUMP_PAGE_SHIFT) * 0x9e3779b97f4a7c15;
	pthread_mutex_t *page_lock =
		&source->page_locks[(hash >> 32) % NR_PAGE_LOCKS];
	kdump_status status;
	unsigned int tries = 0;

	if (atomic_load_explicit(&source->writer_waits, memory_order_relaxed)) {
		pthread_mutex_lock(&source->lock);
		pthread_mutex_unlock(&source->lock);
	}
	pthread_mutex_lock(page_lock);
	do {
		size_t n = length;

		/*
		 * Other slots than those of the page cache may run out: of the
		 * file cache, which has no size to be set. They are soon free.
		 */
		if (tries++)
			sched_yield();
		status = kdump_read(reader->ctx, KDUMP_MACHPHYSADDR, phys,
				    buffer, &n);
	} while (status == KDUMP_ERR_BUSY && tries < 100000);
	pthread_mutex_unlock(page_lock);
	*ok = status == KDUMP_OK;
	if (status == KDUMP_ERR_BUSY || status == KDUMP_ERR_NOTIMPL)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "libkdumpfile cannot read the dump: %s",
				       kdump_get_err(reader->ctx));
	return NULL;
}

/* The part that holds @pfn, or the next one above, or NULL. */
static const struct pa_kdump_part *find_part(const struct kdump_source *source,
					     uint64_t pfn)
{
	for (size_t i = 0; i < source->nr_parts; i++) {
		if (pfn < source->parts[i].end_pfn)
			return &source->parts[i];
	}
	return NULL;
}

/* What @pfn is, and the end of its run, at most @limit. */
static enum pa_presence find_run(const struct pa_kdump_part *part, uint64_t pfn,
				 uint64_t limit, uint64_t *end)
{
	limit = pa_min(limit, part->end_pfn);
	*end = pa_kdump_bitmap_change(&part->dumped, pfn, limit);
	if (pa_kdump_bitmap_test(&part->dumped, pfn))
		return PA_PRESENT;
	*end = pa_kdump_bitmap_change(&part->memory, pfn, *end);
	return pa_kdump_bitmap_test(&part->memory, pfn) ? PA_EXCLUDED :
							  PA_UNREADABLE;
}

/* Pages of [phys, phys + length), which are dumped, one after another. */
static struct pa_error *read_pages(struct kdump_reader *reader,
				   const struct pa_kdump_part *part,
				   uint64_t phys, uint64_t length,
				   uint8_t *buffer, struct pa_run *ret)
{
	uint64_t index = pa_kdump_part_index(part, phys >> PA_KDUMP_PAGE_SHIFT);
	struct pa_kdump_page previous = { 0 };
	uint64_t done = 0;

	while (done < length) {
		uint64_t in_page = (phys + done) % PA_KDUMP_PAGE_BYTES;
		uint64_t bytes =
			pa_min(length - done, PA_KDUMP_PAGE_BYTES - in_page);
		struct pa_kdump_page page;
		bool ok = pa_kdump_part_page(part, index, &page, &reader->hint);

		if (!ok) {
			/* Absent. */
		} else if (!(page.flags & PA_KDUMP_COMPRESSED)) {
			ok = pa_file_read(part->file, page.offset + in_page,
					  buffer + done, bytes) == bytes;
		} else if (page.offset == previous.offset &&
			   page.bytes == previous.bytes && !in_page &&
			   done >= PA_KDUMP_PAGE_BYTES) {
			/* QEMU's zero pages share one compressed page. */
			memcpy(buffer + done,
			       buffer + done - PA_KDUMP_PAGE_BYTES, bytes);
		} else {
			struct pa_error *err = decompress(
				reader, phys + done, bytes, buffer + done, &ok);

			if (err)
				return err;
		}
		if (!ok) {
			if (done)
				break;
			*ret = (struct pa_run){
				.presence = PA_UNREADABLE,
				.length = bytes,
			};
			return NULL;
		}
		previous = page;
		done += bytes;
		index++;
	}
	*ret = (struct pa_run){
		.presence = PA_PRESENT,
		.length = done,
		.data = buffer,
	};
	return NULL;
}

static struct pa_error *kdump_run(struct pa_reader *base, uint64_t phys,
				  uint64_t length, uint8_t *buffer,
				  struct pa_run *ret)
{
	struct kdump_reader *reader = (struct kdump_reader *)base;
	const struct kdump_source *source =
		(const struct kdump_source *)base->source;
	uint64_t pfn = phys >> PA_KDUMP_PAGE_SHIFT;
	uint64_t last = phys + pa_min(length - 1, UINT64_MAX - phys);
	uint64_t limit = (last >> PA_KDUMP_PAGE_SHIFT) + 1;
	const struct pa_kdump_part *part = find_part(source, pfn);
	enum pa_presence presence = PA_UNREADABLE;
	uint64_t end = limit;

	if (part && part->start_pfn <= pfn)
		presence = find_run(part, pfn, limit, &end);
	else if (part)
		end = pa_min(limit, part->start_pfn);
	/* What is absent may go on in the next part. */
	while (presence != PA_PRESENT && end < limit) {
		uint64_t next;

		part = find_part(source, end);
		if (!part || part->start_pfn > end) {
			if (presence != PA_UNREADABLE)
				break;
			end = part ? pa_min(limit, part->start_pfn) : limit;
			continue;
		}
		if (find_run(part, end, limit, &next) != presence)
			break;
		end = next;
	}
	length = pa_min(last - phys + 1, (end << PA_KDUMP_PAGE_SHIFT) - phys);
	if (presence == PA_PRESENT)
		return read_pages(reader, part, phys, length, buffer, ret);
	*ret = (struct pa_run){ .presence = presence, .length = length };
	return NULL;
}

static const struct pa_source_ops kdump_ops = {
	.destroy = kdump_destroy,
	.reader_create = kdump_reader_create,
	.reader_destroy = kdump_reader_destroy,
	.run = kdump_run,
};

static struct pa_error *lib_error(struct kdump_source *source)
{
	const char *reason = kdump_get_err(source->ctx);

	return pa_error_create(PA_ERROR_FORMAT,
			       "%s: libkdumpfile cannot open the dump: %s",
			       source->files[0]->path,
			       reason ? reason : "no reason given");
}

static kdump_status lib_open(struct kdump_source *source, const int *fds)
{
	source->ctx = kdump_new();
	if (!source->ctx)
		return KDUMP_ERR_SYSTEM;

	kdump_status status = kdump_set_number_attr(source->ctx, "cache.size",
						    source->cache_pages);

	if (status != KDUMP_OK)
		return status;
	return kdump_open_fdset(source->ctx, (unsigned int)source->nr_parts,
				fds);
}

static struct pa_error *open_library(struct kdump_source *source)
{
	pa_auto_free int *fds = calloc(source->nr_parts, sizeof(*fds));
	bool flattened = false;
	kdump_num_t number;
	kdump_status status;

	if (!fds)
		return &pa_error_no_memory;
	for (size_t i = 0; i < source->nr_parts; i++) {
		fds[i] = source->files[i]->fd;
		flattened |= source->files[i]->flattened;
	}
	status = lib_open(source, fds);
	if (source->ctx && status == KDUMP_ERR_NOTIMPL && flattened) {
		/* libkdumpfile reads flattened dumps since 0.5.3 only. */
		for (size_t i = 0; i < source->nr_parts; i++) {
			struct pa_file *file = source->files[i];
			struct pa_error *err;
			int fd;

			if (!file->flattened)
				continue;
			err = pa_file_rearrange(file, &fd);
			if (err)
				return err;
			/* The map needs no descriptor. */
			close(file->fd);
			file->fd = fds[i] = fd;
		}
		kdump_free(source->ctx);
		status = lib_open(source, fds);
	}
	if (!source->ctx)
		return &pa_error_no_memory;
	if (status != KDUMP_OK)
		return lib_error(source);
	/* It guesses what kind of dump this is; we must mean the same. */
	if (kdump_get_number_attr(source->ctx, KDUMP_ATTR_PTR_SIZE, &number) !=
		    KDUMP_OK ||
	    number != 8 ||
	    kdump_get_number_attr(source->ctx, KDUMP_ATTR_PAGE_SIZE, &number) !=
		    KDUMP_OK ||
	    number != PA_KDUMP_PAGE_BYTES)
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s: a kdump-compressed dump with a "
				       "damaged header",
				       source->files[0]->path);
	return NULL;
}

static int compare_parts(const void *a, const void *b)
{
	const struct pa_kdump_part *left = a, *right = b;

	return left->start_pfn < right->start_pfn ?
		       -1 :
		       left->start_pfn > right->start_pfn;
}

/* All parts, from pfn 0 on, and what is wrong with the set. */
static struct pa_error *check_parts(struct kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;
	const struct pa_kdump_part *parts = source->parts;
	uint64_t next_pfn = 0;

	for (size_t i = 0; i < source->nr_parts; i++) {
		const struct pa_kdump_part *part = &parts[i];

		if (source->nr_parts > 1 &&
		    (!part->split || part->max_mapnr != parts[0].max_mapnr))
			return pa_error_create(
				PA_ERROR_FORMAT,
				"%s: not a part of the same split dump as %s",
				part->file->path, parts[i ? 0 : 1].file->path);
		if (part->start_pfn < next_pfn)
			return pa_error_create(
				PA_ERROR_FORMAT,
				"%s and %s: the same part of a split dump",
				parts[i - 1].file->path, part->file->path);
		if (part->start_pfn > next_pfn)
			break;
		next_pfn = part->end_pfn;
	}
	if (next_pfn < parts[0].max_mapnr)
		pa_source_incomplete(info,
				     "a part of a split dump is missing, from "
				     "pfn 0x%llx on",
				     (unsigned long long)next_pfn);
	for (size_t i = 0; i < source->nr_parts; i++) {
		uint64_t nr_missing = pa_kdump_part_missing(&parts[i]);

		if (parts[i].status & PA_KDUMP_INCOMPLETE)
			pa_source_incomplete(
				info, "makedumpfile marked it as incomplete");
		if (parts[i].file->cut_short)
			pa_source_incomplete(
				info, "the flattened file has no end mark");
		if (nr_missing)
			pa_source_incomplete(info,
					     "at least %llu pages are missing: "
					     "the file was cut short",
					     (unsigned long long)nr_missing);
	}
	return NULL;
}

static void name_format(struct kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;
	uint32_t status = source->parts[0].status;
	const char *compression = status & PA_KDUMP_ZLIB   ? "zlib" :
				  status & PA_KDUMP_LZO	   ? "lzo" :
				  status & PA_KDUMP_SNAPPY ? "snappy" :
				  status & PA_KDUMP_ZSTD   ? "zstd" :
							     "not compressed";
	char split[32] = "";

	if (source->nr_parts > 1)
		snprintf(split, sizeof(split), ", %zu files", source->nr_parts);
	snprintf(info->format_name, sizeof(info->format_name), "kdump (%s%s%s)",
		 compression,
		 source->parts[0].file->flattened ? ", flattened" : "", split);
}

static struct pa_error *add_ranges(struct kdump_source *source)
{
	const struct pa_kdump_bitmap *memory = &source->parts[0].memory;
	uint64_t pfn = 0;

	while (pfn < memory->nr_pfns) {
		uint64_t end =
			pa_kdump_bitmap_change(memory, pfn, memory->nr_pfns);

		if (pa_kdump_bitmap_test(memory, pfn)) {
			struct pa_error *err = pa_source_add_range(
				&source->base.info, pfn << PA_KDUMP_PAGE_SHIFT,
				end << PA_KDUMP_PAGE_SHIFT);

			if (err)
				return err;
		}
		pfn = end;
	}
	return NULL;
}

static struct pa_error *read_notes(struct kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;

	for (size_t i = 0; i < source->nr_parts; i++) {
		struct pa_elf_notes notes = { 0 };
		struct pa_error *err =
			pa_kdump_part_notes(&source->parts[i], &notes);

		if (err) {
			pa_elf_notes_deinit(&notes);
			return err;
		}
		if (!i) {
			pa_elf_notes_move(&notes, info);
			continue;
		}

		bool same = !info->vmcoreinfo || !notes.vmcoreinfo ||
			    !strcmp(info->vmcoreinfo, notes.vmcoreinfo);

		pa_elf_notes_deinit(&notes);
		if (!same)
			return pa_error_create(
				PA_ERROR_FORMAT,
				"%s: not a part of the same split dump as %s",
				source->parts[i].file->path,
				source->parts[0].file->path);
	}
	return NULL;
}

static struct pa_error *kdump_init(struct kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;
	struct pa_error *err;

	for (size_t i = 0; i < source->nr_parts; i++) {
		err = pa_kdump_part_init(&source->parts[i], source->files[i]);
		if (err)
			return err;
	}
	qsort(source->parts, source->nr_parts, sizeof(*source->parts),
	      compare_parts);
	info->format = PA_SOURCE_KDUMP;
	info->complete = true;
	info->dump_level = source->parts[0].dump_level;
	info->machine = EM_X86_64;
	err = check_parts(source);
	if (err)
		return err;
	name_format(source);
	err = add_ranges(source);
	if (err)
		return err;
	err = read_notes(source);
	if (err)
		return err;
	return open_library(source);
}

struct pa_error *pa_source_kdump(struct pa_file **files, size_t nr_files,
				 struct pa_source **ret)
{
	struct kdump_source *source = calloc(1, sizeof(*source));
	struct pa_error *err = &pa_error_no_memory;

	if (!source) {
		for (size_t i = 0; i < nr_files; i++)
			pa_file_destroy(files[i]);
		return err;
	}
	source->base.ops = &kdump_ops;
	source->nr_parts = nr_files;
	source->cache_pages = 16;
	pthread_mutex_init(&source->lock, NULL);
	for (size_t i = 0; i < NR_PAGE_LOCKS; i++)
		pthread_mutex_init(&source->page_locks[i], NULL);
	source->files = calloc(nr_files, sizeof(*source->files));
	source->parts = calloc(nr_files, sizeof(*source->parts));
	if (source->files)
		memcpy(source->files, files, nr_files * sizeof(*files));
	else
		for (size_t i = 0; i < nr_files; i++)
			pa_file_destroy(files[i]);
	if (source->files && source->parts)
		err = kdump_init(source);
	if (err) {
		kdump_destroy(&source->base);
		return err;
	}
	*ret = &source->base;
	return NULL;
}
