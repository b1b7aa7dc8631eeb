// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Poison in memory that is not in use: the memory map of an offline section
 * keeps its last contents (remove_pfn_range_from_zone() poisons it only with
 * CONFIG_DEBUG_VM), that of altmap memory is set up and then left alone.
 */
#include "census/scan.h"

/*
 * The struct page may never have been written and hold anything: a flag alone
 * is no evidence. memory_failure() leaves one reference or none.
 */
static bool is_poisoned(const struct pa_scanner *s, enum pa_pfn_state state,
			const uint8_t *page)
{
	const struct pa_page_format *f = s->format;
	uint64_t flags = pa_page_flags(f, page);
	bool device = f->zone_device >= 0 &&
		      pa_page_zone(f, flags) == (unsigned int)f->zone_device;

	return flags & f->flag.hwpoison && !pa_page_is_uninitialised(flags) &&
	       !pa_page_is_tail(f, page) && pa_page_refcount(f, page) <= 1 &&
	       pa_page_type_word(f, page) == UINT32_MAX &&
	       (state == PA_PFN_ALTMAP ?
			device :
			pa_flags_zone(s->kernel, flags) != NULL);
}

static struct pa_error *scan_run(struct pa_scanner *s, enum pa_pfn_state state,
				 const struct pa_memmap_run *run)
{
	const struct pa_page_format *f = s->format;

	for (uint64_t i = 0; i < run->nr; i++) {
		const uint8_t *page = run->pages + i * f->size;

		if (!is_poisoned(s, state, page))
			continue;

		struct pa_poisoned poisoned = {
			.pfn = run->pfn + i,
			.state = state,
			.page_class = state == PA_PFN_ALTMAP ?
					      PA_CLASS_ALTMAP :
					      PA_CLASS_NOT_MEMORY,
			.refcount = pa_page_refcount(f, page),
			.flags = pa_page_flags(f, page),
			.private_ = pa_page_private(f, page),
			.free_pfn = PA_NO_PFN,
			.head_pfn = run->pfn + i,
		};

		if (!pa_array_append(&s->poisoned, poisoned))
			return &pa_error_no_memory;
	}
	return NULL;
}

struct pa_error *pa_scan_unused(struct pa_scanner *s, enum pa_pfn_state state,
				uint64_t pfn, uint64_t end)
{
	if (!s->format->flag.hwpoison)
		return NULL;
	while (pfn < end) {
		struct pa_memmap_run run;
		struct pa_error *err =
			pa_memmap_run(s->memmap, pfn, end - pfn, &run);

		if (err)
			return err;
		run.nr = pa_min(run.nr, end - pfn);
		/* Filters leave it out, and nothing is missed then. */
		if (run.presence == PA_PRESENT)
			err = scan_run(s, state, &run);
		if (err)
			return err;
		pfn += run.nr;
	}
	return NULL;
}
