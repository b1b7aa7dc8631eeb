// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/keeper.h"

#include "census/aside.h"
#include "checks/discrepancy.h"

bool pa_keeper_names(const struct pa_place *place)
{
	switch (place->kind) {
	case PA_PLACE_SLAB:
	/* Large arrays. */
	case PA_PLACE_VMALLOC:
	case PA_PLACE_PAGE:
		return !place->dead;
	default:
		return false;
	}
}

const char *pa_keeper_find(struct pa_check_context *c,
			   const struct pa_discrepancy *d, uint64_t words)
{
	const struct pa_page_format *f = &c->kernel->page_format;
	int64_t excess = pa_discrepancy_excess(d, PA_COUNT_REFCOUNT);
	uint64_t pins = pa_whole_pins(&c->kernel->mapcount_format, d);

	if (d->wrong & PA_WRONG_MAPCOUNTS || excess <= 0)
		return NULL;
	/*
	 * Network and user-space file systems have a reference of each page of
	 * a request: nfs_page_create(), fuse_readahead().
	 */
	if (d->kind == PA_FOLIO_FILE &&
	    d->flags & (f->flag.locked | f->flag.writeback) &&
	    words >= (uint64_t)excess)
		return "I/O that is under way";
	/* Whoever keeps the pages that it pinned: xdp_umem_pin_pages(). */
	if (pins && words >= pins)
		return "who pinned it";
	return NULL;
}
