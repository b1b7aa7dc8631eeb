// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/keeper.h"

#include <string.h>

#include "census/aside.h"
#include "census/holder.h"
#include "checks/discrepancy.h"

static bool is_page_at(struct pa_check_context *c, uint64_t phys)
{
	uint8_t bytes[8];
	uint64_t pfn;
	struct pa_error *err = pa_reader_read(c->memmap->memory->reader, phys,
					      sizeof(bytes), bytes);

	if (!err)
		return pa_page_to_pfn(c->kernel, pa_load_u64(bytes), &pfn);
	pa_error_destroy(err);
	return false;
}

/*
 * Whether the word at @phys is beside another page's address, as in an array of
 * pages; in one of struct bio_vec, whose owners are walked, it is not.
 */
static bool is_in_array(struct pa_check_context *c, uint64_t phys)
{
	uint64_t size = PA_BIT(c->kernel->space.page_shift);

	return (phys % size && is_page_at(c, phys - 8)) ||
	       ((phys + 8) % size && is_page_at(c, phys + 8));
}

void pa_kept_add(struct pa_check_context *c, const struct pa_search_hit *hit,
		 const struct pa_place *place, struct pa_kept *kept)
{
	uint64_t words = kept->words;

	if (place->dead)
		return;
	switch (place->kind) {
	case PA_PLACE_SLAB:
		/* Merged with no other: its objects go to user space. */
		if (place->cache && !strcmp(place->cache->name, "kvm_vcpu"))
			kept->vcpu_words++;
		kept->words++;
		break;
	/* Large arrays. */
	case PA_PLACE_VMALLOC:
	case PA_PLACE_PAGE:
		kept->words++;
		break;
	default:
		break;
	}
	if (kept->words > words && is_in_array(c, hit->phys))
		kept->array_words++;
}

/*
 * The name of a holder that keeps pages by their addresses and could not be walked
 * at all: whose the address of a page is, nobody can tell then.
 */
static const char *find_unwalked(const struct pa_census *census)
{
	for (int i = 0; i < PA_NR_HOLDERS; i++)
		if (census->holders[i].err)
			return pa_holders[i].name;
	return NULL;
}

const char *pa_keeper_find(struct pa_check_context *c,
			   const struct pa_discrepancy *d,
			   const struct pa_kept *kept)
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
	    kept->words >= (uint64_t)excess)
		return "I/O that is under way";
	/* Whoever keeps an array of what it pinned: xdp_umem_pin_pages(). */
	if (pins && kept->array_words >= pins)
		return "who pinned it";
	/* Pages of its guest that a virtual CPU maps for long: kvm_vcpu_map(). */
	if (kept->vcpu_words >= (uint64_t)excess)
		return "a virtual CPU";
	return kept->words ? find_unwalked(c->census) : NULL;
}
