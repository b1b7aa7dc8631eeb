// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/files.h"

#include <stdlib.h>

#include "base/map.h"
#include "census/slabs.h"

struct collect {
	struct pa_holder_walk *walk;
	struct pa_files *files;
	/* Objects met; two files can be of one pipe. */
	struct pa_map met;
	struct pa_error *err;
};

static bool visit(void *arg, uint64_t address)
{
	struct collect *collect = arg;
	struct pa_holder_walk *walk = collect->walk;
	struct pa_open_file file;

	collect->err =
		pa_open_file_read(walk->kernel, walk->memory, address, &file);
	if (pa_error_is_target(collect->err)) {
		pa_error_destroy(collect->err);
		collect->err = NULL;
		collect->files->unreadable++;
		return true;
	}
	if (collect->err)
		return false;
	if (!file.object || pa_map_has(&collect->met, file.object))
		return true;
	if (!pa_map_set(&collect->met, file.object, file.kind) ||
	    !pa_array_append(&collect->files->objects[file.kind], file.object))
		collect->err = &pa_error_no_memory;
	return !collect->err;
}

static struct pa_error *find_cache(struct pa_holder_walk *walk,
				   const struct pa_slab_cache **ret)
{
	struct pa_census *census = walk->census;
	struct pa_error *err = NULL;

	*ret = NULL;
	if (!census->slabs || census->parts[PA_CENSUS_SLABS].err)
		return pa_error_create(PA_ERROR_MISSING,
				       "the slabs could not be read");
	if (PA_HAS_SYM(walk->layout, filp_cachep))
		err = pa_slabs_cache_symbol(census, walk->memory,
					    PA_SYM_filp_cachep, ret);
	/* The code has the address only where it's a constant of the boot. */
	if (!err && !*ret)
		*ret = pa_slabs_cache_named(census->slabs, "filp");
	if (!err && !*ret)
		err = pa_error_create(PA_ERROR_MISSING,
				      "no slab cache of open files");
	return err;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static struct pa_error *build(struct pa_holder_walk *walk,
			      struct pa_files *files)
{
	const struct pa_slabs *slabs = walk->census->slabs;
	struct collect collect = { .walk = walk, .files = files };
	const struct pa_slab_cache *cache;
	struct pa_error *err = find_cache(walk, &cache);

	for (size_t i = 0; !err && i < cache->nr; i++) {
		const struct pa_slab *slab =
			&slabs->list
				 .items[slabs->by_cache.items[cache->first + i]];

		err = pa_job_check(walk->job);
		if (!err)
			err = pa_slab_visit(walk->census, walk->memory, slab,
					    visit, &collect);
		if (!err)
			err = collect.err;
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
			files->unreadable++;
		}
	}
	pa_map_deinit(&collect.met);
	for (int i = 0; !err && i < PA_NR_OPEN_FILE_KINDS; i++)
		if (files->objects[i].length)
			qsort(files->objects[i].items, files->objects[i].length,
			      sizeof(*files->objects[i].items), compare);
	return err;
}

struct pa_error *pa_files_get(struct pa_holder_walk *walk,
			      enum pa_open_file_kind kind,
			      const struct pa_files **ret)
{
	struct pa_files *files = walk->census->files;

	if (!pa_open_file_knows(walk->layout, kind))
		return pa_error_create(PA_ERROR_MISSING,
				       "no types or symbols of open files");
	if (!files) {
		files = calloc(1, sizeof(*files));
		if (!files)
			return &pa_error_no_memory;

		struct pa_error *err = build(walk, files);

		if (err) {
			pa_files_destroy(files);
			return err;
		}
		walk->census->files = files;
	}
	walk->unreadable += files->unreadable;
	*ret = files;
	return NULL;
}

void pa_files_destroy(struct pa_files *files)
{
	if (!files)
		return;
	for (int i = 0; i < PA_NR_OPEN_FILE_KINDS; i++)
		pa_array_deinit(&files->objects[i]);
	free(files);
}
