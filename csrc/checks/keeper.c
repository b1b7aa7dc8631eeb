// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/keeper.h"

#include "census/pinned.h"
#include "checks/discrepancy.h"

/* What the target lacks says nothing. */
static struct pa_error *keep_ours(struct pa_error *err)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	return NULL;
}

struct pa_error *pa_namers_init(struct pa_check_context *c,
				const struct pa_discrepancy *d,
				struct pa_namers *ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	const uint8_t *page;
	struct pa_error *err;

	*ret = (struct pa_namers){ 0 };
	if (d->kind != PA_FOLIO_FILE || !(d->flags & f->flag.private_))
		return NULL;
	err = pa_memmap_page(c->memmap, d->pfn, 1, &page);
	if (!err)
		ret->private = pa_page_private(f, page);
	return keep_ours(err);
}

void pa_namers_add(struct pa_namers *namers, const struct pa_place *place)
{
	bool object = place->kind == PA_PLACE_SLAB;

	/* Large arrays are of pages, or of vmalloc(). */
	if (place->dead || (!object && place->kind != PA_PLACE_VMALLOC &&
			    place->kind != PA_PLACE_PAGE))
		return;
	namers->words++;
	if (object && namers->private && place->start == namers->private)
		namers->attached = true;
}

/*
 * A driver of graphics keeps the pages of an object's file, each with one
 * reference, and i915 just the first of those in a row, and says that reclaim
 * is of no use: drm_gem_get_pages(), shmem_sg_alloc_table(). AS_UNEVICTABLE is
 * a locked segment's, too (shmem_lock()).
 */
static struct pa_error *is_graphics(struct pa_check_context *c,
				    const struct pa_discrepancy *d,
				    int64_t excess, bool *ret)
{
	const struct pa_layout *layout = c->kernel->layout;
	uint64_t flags = 0;
	struct pa_error *err;

	*ret = false;
	if (d->kind != PA_FOLIO_SHMEM || d->maps || d->entire ||
	    excess > (int64_t)PA_BIT(d->order) ||
	    !PA_HAS(layout, address_space, flags) ||
	    !PA_HAS_ENUM(layout, AS_UNEVICTABLE))
		return NULL;
	err = pa_memory_read_u64(
		c->memmap->memory,
		d->mapping + PA_OFFSETOF(layout, address_space, flags), &flags);
	*ret = flags & PA_BIT(PA_ENUM(layout, AS_UNEVICTABLE));
	return keep_ours(err);
}

struct pa_error *pa_keeper_find(struct pa_check_context *c,
				const struct pa_discrepancy *d,
				const struct pa_namers *namers,
				const char **ret)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	int64_t excess = pa_discrepancy_excess(d, PA_COUNT_REFCOUNT);
	uint64_t pins = pa_whole_pins(&c->kernel->mapcount_format, d);
	struct pa_error *err;
	bool graphics;

	*ret = NULL;
	if (d->wrong & PA_WRONG_MAPCOUNTS || excess <= 0)
		return NULL;
	/*
	 * Network and user-space file systems have a reference of each page of
	 * a request: nfs_page_create(), fuse_readahead().
	 */
	if (d->kind == PA_FOLIO_FILE &&
	    d->flags & (f->flag.locked | f->flag.writeback) &&
	    namers->words >= (uint64_t)excess)
		*ret = "I/O that is under way";
	/* Until v6.16 alloc_extent_buffer() kept what the page came with. */
	else if (namers->attached && excess == 1)
		*ret = "what its file system attached to it";
	/* Whoever keeps the pages that it pinned: xdp_umem_pin_pages(). */
	else if (pins && namers->words >= pins)
		*ret = "who pinned it";
	if (*ret)
		return NULL;
	err = is_graphics(c, d, excess, &graphics);
	if (graphics)
		*ret = "a driver that uses its file's pages";
	return err;
}
