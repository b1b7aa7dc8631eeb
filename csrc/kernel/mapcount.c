// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/mapcount.h"

void pa_mapcount_format_init(const struct pa_layout *layout,
			     const struct pa_page_format *page,
			     struct pa_mapcount_format *ret)
{
	struct pa_mapcount_format f = { .page = page->type };

	if (PA_HAS(layout, folio, _entire_mapcount))
		f.entire = PA_OFFSETOF(layout, folio, _entire_mapcount);
	else if (PA_HAS(layout, page, compound_mapcount))
		f.entire = page->size +
			   PA_OFFSETOF(layout, page, compound_mapcount);
	if (PA_HAS(layout, folio, _large_mapcount))
		f.large = PA_OFFSETOF(layout, folio, _large_mapcount);
	if (PA_HAS(layout, folio, _nr_pages_mapped))
		f.nr_pages_mapped =
			PA_OFFSETOF(layout, folio, _nr_pages_mapped);
	f.entire_raises_file_pages = !f.nr_pages_mapped && !f.large;
	/* hpage_pincount_available(): what has a page 2. */
	if (PA_HAS(layout, folio, _pincount)) {
		f.pincount = PA_OFFSETOF(layout, folio, _pincount);
		f.pincount_min_order = 1;
	} else if (PA_HAS(layout, page, hpage_pinned_refcount)) {
		f.pincount = 2 * page->size +
			     PA_OFFSETOF(layout, page, hpage_pinned_refcount);
		f.pincount_min_order = 2;
	}
	if (PA_HAS_ENUM(layout, PG_double_map))
		f.double_map = PA_BIT(PA_ENUM(layout, PG_double_map) & 63);
	/* Wrong types must not lead out of what was read. */
	uint32_t limit = PA_FOLIO_HEAD_PAGES * page->size - 4;

	if (f.entire > limit)
		f.entire = 0;
	if (f.large > limit)
		f.large = 0;
	if (f.nr_pages_mapped > limit)
		f.nr_pages_mapped = 0;
	if (f.pincount > limit)
		f.pincount = 0;
	*ret = f;
}
