// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which mapcounts a kernel keeps, by the members that it has. */
#include <string.h>

#include "census/page_mapcount.h"
#include "check.h"
#include "kernel/mapcount.h"

#define MEMBER(type, name, at)                                          \
	layout.members[PA_MEMBER_##type##__##name] = (struct pa_member) \
	{                                                               \
		.known = true, .offset = (at), .size = 4, .length = 1   \
	}

static struct pa_layout layout;
static struct pa_kernel kernel = { .page_format = { .size = 64, .type = 48 } };
static struct pa_census census = { .kernel = &kernel };

/* Whether each page of a large folio is believed to have a mapcount. */
static bool keeps(void)
{
	bool ret;

	pa_mapcount_format_init(&layout, &kernel.page_format,
				&kernel.mapcount_format);
	CHECK_OK(pa_page_mapcounts_kept(&census, &ret));
	return ret;
}

int main(void)
{
	const struct pa_mapcount_format *m = &kernel.mapcount_format;

	/* Before v6.2: a leaf's map is one of each page, too. */
	MEMBER(page, compound_mapcount, 12);
	CHECK(keeps() && m->entire_raises_file_pages);
	CHECK(m->entire == 64 + 12 && !m->large && !m->nr_pages_mapped);

	MEMBER(folio, _entire_mapcount, 80);
	MEMBER(folio, _nr_pages_mapped, 88);
	CHECK(keeps() && !m->entire_raises_file_pages);
	CHECK(m->entire == 80 && !m->large && m->nr_pages_mapped == 88);

	MEMBER(folio, _large_mapcount, 84);
	CHECK(keeps() && !m->entire_raises_file_pages);
	CHECK(m->large == 84 && m->nr_pages_mapped == 88);

	/* Of the folio alone. */
	layout.members[PA_MEMBER_folio___nr_pages_mapped].known = false;
	CHECK(!keeps() && !m->entire_raises_file_pages);
	return CHECK_DONE();
}
