// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/mm_id.h"

#include <stdlib.h>

#include "census/census.h"

/* MM_ID_MASK; the top bits of the two are flags. */
#define ID_MASK PA_MASK(31)
#define LOCK_BIT PA_BIT(31)
#define SHARED_BIT PA_BIT(31)
#define SPAN_SHIFT 9
/* Struct pages that a folio keeps these in: the second. */
#define HEAD_PAGES 2

static bool may_be_head(uint8_t class)
{
	return class == PA_CLASS_LRU || class == PA_CLASS_LRU_UNEVICTABLE ||
	       class == PA_CLASS_USED_HEAD;
}

static struct pa_error *add_folio(const struct pa_kernel *kernel,
				  struct pa_memmap *memmap, uint64_t pfn,
				  struct pa_mm_ids *ids)
{
	const struct pa_layout *layout = kernel->layout;
	const struct pa_member *id = PA_M(layout, folio, _mm_id);
	const struct pa_member *mapcount = PA_M(layout, folio, _mm_id_mapcount);
	const uint8_t *head;
	struct pa_error *err = pa_memmap_page(memmap, pfn, HEAD_PAGES, &head);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		ids->unreadable++;
		return NULL;
	}
	if (err)
		return err;

	struct pa_mm_id_folio folio = {
		.pfn = pfn,
		.order = pa_folio_order(&kernel->page_format, head),
	};

	for (int i = 0; i < PA_NR_MM_IDS; i++) {
		uint32_t word = pa_load_u32(head + id->offset + i * 4);

		folio.id[i] = (uint32_t)(word & ID_MASK);
		folio.locked |= !i && word & LOCK_BIT;
		folio.shared |= i && word & SHARED_BIT;
		folio.stored[i] = (int64_t)(int32_t)pa_load_u32(
					  head + mapcount->offset + i * 4) +
				  1;
	}
	if (!folio.order || folio.order > kernel->page_format.max_order)
		return NULL;
	return pa_array_append(&ids->list, folio) ? NULL : &pa_error_no_memory;
}

/* Heads are what has a tail behind it. */
static struct pa_error *add_section(const struct pa_census *census,
				    struct pa_memmap *memmap, size_t section,
				    struct pa_mm_ids *ids)
{
	const struct pa_kernel *kernel = census->kernel;
	const uint8_t *classes = census->classes[section];
	uint64_t pages = kernel->sections.pages;
	uint64_t start = kernel->sections.list.items[section].nr
			 << kernel->sections.pages_shift;
	size_t first = ids->list.length;
	struct pa_error *err = NULL;

	for (uint64_t i = 0; !err && i + 1 < pages; i++) {
		if (!(i & 7) && !pa_classes_have(classes + i, PA_CLASS_TAIL) &&
		    (i + 8 == pages ||
		     (classes[i + 8] & PA_CLASS_MASK) != PA_CLASS_TAIL)) {
			i += 7;
			continue;
		}
		if (may_be_head(classes[i] & PA_CLASS_MASK) &&
		    (classes[i + 1] & PA_CLASS_MASK) == PA_CLASS_TAIL)
			err = add_folio(kernel, memmap, start + i, ids);
	}
	if (err || first == ids->list.length)
		return err;

	uint64_t nr_spans = pages >> SPAN_SHIFT;
	uint32_t *spans = calloc(nr_spans, sizeof(*spans));
	size_t at = first;

	if (!spans)
		return &pa_error_no_memory;
	ids->spans[section] = spans;
	for (uint64_t i = 0; i < nr_spans; i++) {
		uint64_t from = start + (i << SPAN_SHIFT);

		while (at < ids->list.length &&
		       ids->list.items[at].pfn +
				       PA_BIT(ids->list.items[at].order) <=
			       from)
			at++;
		spans[i] = (uint32_t)at;
	}
	return NULL;
}

struct pa_error *pa_mm_ids_init(const struct pa_census *census,
				struct pa_memmap *memmap, struct pa_mm_ids *ret)
{
	const struct pa_layout *layout = census->kernel->layout;
	size_t nr_sections = census->kernel->sections.list.length;
	uint64_t behind = census->kernel->page_format.size * HEAD_PAGES;
	struct pa_error *err = NULL;

	if (!PA_HAS(layout, folio, _mm_id) ||
	    !PA_HAS(layout, folio, _mm_id_mapcount) ||
	    !PA_HAS(layout, mm_struct, mm_id) ||
	    /* Of 32 bits each, as on all 64-bit kernels. */
	    PA_M(layout, folio, _mm_id_mapcount)->element_size != 4 ||
	    PA_OFFSETOF(layout, folio, _mm_id) + 8 > behind ||
	    PA_OFFSETOF(layout, folio, _mm_id_mapcount) + 8 > behind)
		return NULL;
	ret->spans = calloc(nr_sections + 1, sizeof(*ret->spans));
	if (!ret->spans)
		return &pa_error_no_memory;
	ret->nr_sections = nr_sections;
	for (size_t i = 0; !err && i < nr_sections; i++)
		if (census->classes[i])
			err = add_section(census, memmap, i, ret);
	return err;
}

void pa_mm_ids_deinit(struct pa_mm_ids *ids)
{
	for (size_t i = 0; i < ids->nr_sections; i++)
		free(ids->spans[i]);
	free(ids->spans);
	ids->spans = NULL;
	ids->nr_sections = 0;
	pa_array_deinit(&ids->list);
}

struct pa_mm_id_folio *pa_mm_ids_find(const struct pa_kernel *kernel,
				      const struct pa_mm_ids *ids, uint64_t pfn)
{
	const struct pa_sections *sections = &kernel->sections;
	uint64_t nr = pfn >> sections->pages_shift;
	const uint32_t *spans;

	if (!ids->nr_sections || nr >= sections->index_length ||
	    !sections->index[nr])
		return NULL;
	spans = ids->spans[sections->index[nr] - 1];
	if (!spans)
		return NULL;
	for (size_t i = spans[(pfn & (sections->pages - 1)) >> SPAN_SHIFT];
	     i < ids->list.length && ids->list.items[i].pfn <= pfn; i++)
		if (pfn - ids->list.items[i].pfn <
		    PA_BIT(ids->list.items[i].order))
			return &ids->list.items[i];
	return NULL;
}

bool pa_mm_id_differs(const struct pa_mm_id_folio *folio, int64_t *stored_ret,
		      int64_t *counted_ret)
{
	int64_t most = 0, all = folio->others;

	if (folio->locked)
		return false;
	for (int i = 0; i < PA_NR_MM_IDS; i++) {
		*stored_ret = folio->stored[i];
		*counted_ret = folio->counted[i];
		if (*stored_ret > *counted_ret)
			return true;
		most = *stored_ret > most ? *stored_ret : most;
		all += *counted_ret;
	}
	/* folio_maybe_mapped_shared() is false: wp_can_reuse_anon_folio(). */
	*stored_ret = most;
	*counted_ret = all;
	return !folio->shared && most != all;
}
