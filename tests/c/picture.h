/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what a picture says of a section. */
#ifndef PA_TESTS_PICTURE_H
#define PA_TESTS_PICTURE_H

#include "census/picture.h"
#include "check.h"

struct run {
	uint8_t kind, order;
	uint64_t nr;
};

/* The next run of @section, from byte *@at on. */
static inline struct run take_run(const struct pa_picture_section *section,
				  size_t *at)
{
	struct run run = { 0 };
	unsigned int shift = 0;
	uint8_t byte;

	CHECK_FATAL(*at + 3 <= section->runs.length);
	run.kind = section->runs.items[(*at)++];
	run.order = section->runs.items[(*at)++];
	do {
		CHECK_FATAL(*at < section->runs.length);
		byte = section->runs.items[(*at)++];
		run.nr |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return run;
}

/* Draws what the census has: each page of a section is there once, or none. */
static inline struct pa_error *check_picture(const struct pa_census *census,
					     struct pa_job *job)
{
	const struct pa_sections *sections = &census->kernel->sections;
	struct pa_picture *picture = NULL;
	struct pa_error *err = pa_picture_create(census, job, &picture);

	for (size_t i = 0; !err && i < sections->list.length; i++) {
		const struct pa_picture_section *section =
			&picture->sections[i];
		uint64_t pages = 0;

		for (size_t at = 0; at < section->runs.length;) {
			struct run run = take_run(section, &at);

			CHECK((run.kind & PA_PICTURE_KIND_MASK) <
			      PA_NR_PICTURE_KINDS);
			pages += run.nr;
		}
		CHECK(pages == (census->classes[i] ? sections->pages : 0));
		CHECK(section->cells.length == pages >> PA_PICTURE_CELL_SHIFT);
	}
	pa_picture_destroy(picture);
	return err;
}

#endif
