// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kdump-compressed dumps (makedumpfile, QEMU), read by libkdumpfile: plain,
 * flattened, and --split sets.
 */
#include "source/kdump.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "source/internal.h"

static void kdump_destroy(struct pa_source *base)
{
	struct pa_kdump_source *source = (struct pa_kdump_source *)base;

	/* Before the files: libkdumpfile borrows their descriptors. */
	pa_kdump_library_deinit(source);
	for (size_t i = 0; i < source->nr_parts; i++) {
		if (source->parts)
			pa_kdump_part_deinit(&source->parts[i]);
		if (source->files)
			pa_file_destroy(source->files[i]);
	}
	free(source->parts);
	free(source->files);
	pthread_mutex_destroy(&source->lock);
	pa_source_info_deinit(&base->info);
	free(source);
}

static const struct pa_source_ops kdump_ops = {
	.destroy = kdump_destroy,
	.reader_create = pa_kdump_reader_create,
	.reader_destroy = pa_kdump_reader_destroy,
	.run = pa_kdump_run,
};

static int compare_parts(const void *a, const void *b)
{
	const struct pa_kdump_part *left = a, *right = b;

	if (left->start_pfn != right->start_pfn)
		return left->start_pfn < right->start_pfn ? -1 : 1;
	/* Empty ones first. */
	return left->end_pfn < right->end_pfn ? -1 :
						left->end_pfn > right->end_pfn;
}

/* Are the parts of one set, and is it all of it? */
static struct pa_error *check_parts(struct pa_kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;
	const struct pa_kdump_part *parts = source->parts;
	uint64_t max_mapnr = parts[0].max_mapnr;
	uint64_t next_pfn = 0, first_gap = max_mapnr;

	for (size_t i = 0; i < source->nr_parts; i++) {
		const struct pa_kdump_part *part = &parts[i];

		if (source->nr_parts > 1 &&
		    (!part->split || part->max_mapnr != max_mapnr))
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
			first_gap = pa_min(first_gap, next_pfn);
		next_pfn = part->end_pfn;
	}
	first_gap = pa_min(first_gap, next_pfn);
	if (first_gap < max_mapnr)
		pa_source_incomplete(info,
				     "a part of a split dump is missing, from "
				     "pfn 0x%llx on",
				     (unsigned long long)first_gap);
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
					     "the file is cut short or damaged",
					     (unsigned long long)nr_missing);
	}
	return NULL;
}

static void name_format(struct pa_kdump_source *source)
{
	struct pa_source_info *info = &source->base.info;
	uint32_t status = source->parts[0].status;
	const char *compression = status & PA_KDUMP_ZLIB   ? "zlib" :
				  status & PA_KDUMP_LZO	   ? "lzo" :
				  status & PA_KDUMP_SNAPPY ? "snappy" :
				  status & PA_KDUMP_ZSTD   ? "zstd" :
							     "not compressed";
	char split[16] = "";

	/* pa_source_open() takes no more than 1024; tell the compiler. */
	if (source->nr_parts > 1)
		snprintf(split, sizeof(split), ", %u files",
			 (unsigned int)source->nr_parts % 10000);
	snprintf(info->format_name, sizeof(info->format_name), "kdump (%s%s%s)",
		 compression,
		 source->parts[0].file->flattened ? ", flattened" : "", split);
}

static struct pa_error *add_ranges(struct pa_kdump_source *source)
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

static struct pa_error *read_notes(struct pa_kdump_source *source)
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

static struct pa_error *kdump_init(struct pa_kdump_source *source)
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
	for (size_t i = 0; i < source->nr_parts; i++)
		source->files[i] = source->parts[i].file;
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
	return pa_kdump_library_init(source);
}

struct pa_error *pa_source_kdump(struct pa_file **files, size_t nr_files,
				 struct pa_source **ret)
{
	struct pa_kdump_source *source = calloc(1, sizeof(*source));
	struct pa_error *err = &pa_error_no_memory;

	if (!source) {
		for (size_t i = 0; i < nr_files; i++)
			pa_file_destroy(files[i]);
		return err;
	}
	source->base.ops = &kdump_ops;
	source->nr_parts = nr_files;
	pthread_mutex_init(&source->lock, NULL);
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
