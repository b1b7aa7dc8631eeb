// SPDX-License-Identifier: LGPL-2.1-or-later
/* The picture of a machine whose every page is known. */
#include "check.h"
#include "machine.h"
#include "picture.h"

#define TILES_PER_SECTION (MACHINE_SECTION_PAGES / MACHINE_TILE_PAGES)

/* What a tile of machine.h is made of; its mappings have no low bits. */
static const struct run tile[] = {
	{ PA_PICTURE_FREE, MACHINE_FREE_ORDER, 1024 },
	/* Without a mapping. */
	{ PA_PICTURE_FILE, 9, 512 },
	{ PA_PICTURE_SHMEM, 0, 256 },
	{ PA_PICTURE_SLAB, 3, 128 },
	{ PA_PICTURE_KERNEL, 0, 128 },
};
#define TILE_RUNS (sizeof(tile) / sizeof(tile[0]))

static struct pa_picture *draw(const struct pa_kernel *kernel,
			       struct pa_census **census_ret)
{
	struct pa_picture *picture;
	struct pa_job job;

	pa_job_init(&job, 2);
	CHECK_OK(pa_census_create(kernel, false, NULL, &job, census_ret));
	CHECK_OK(pa_picture_create(*census_ret, &job, &picture));
	return picture;
}

static void check_section(const struct pa_picture_section *section)
{
	size_t at = 0;

	CHECK(section->cells.length ==
	      MACHINE_SECTION_PAGES >> PA_PICTURE_CELL_SHIFT);
	for (int i = 0; i < TILES_PER_SECTION; i++) {
		const uint8_t *cells = section->cells.items + i * 4;

		for (size_t j = 0; j < TILE_RUNS; j++) {
			struct run run = take_run(section, &at);

			CHECK(run.kind == tile[j].kind);
			CHECK(run.order == tile[j].order);
			CHECK(run.nr == tile[j].nr);
		}
		CHECK(cells[0] == PA_PICTURE_FREE);
		CHECK(cells[1] == PA_PICTURE_FREE);
		CHECK(cells[2] == (PA_PICTURE_FILE | PA_PICTURE_HUGE));
		CHECK(cells[3] == PA_PICTURE_SHMEM);
	}
	CHECK(at == section->runs.length);
}

/* What the census says of pages that this machine has none of. */
static void check_marked(struct pa_census *census)
{
	uint8_t *classes = census->classes[1];
	struct pa_picture *picture;
	struct pa_job job;
	size_t at = 0;
	struct run run;

	/* A poisoned page in a free block, and tails of a folio of before. */
	classes[3] |= PA_MARK_HWPOISON;
	memset(census->classes[2], PA_CLASS_TAIL, 8);
	census->classes[0][1025] = PA_CLASS_UNKNOWN;
	free(census->classes[3]);
	census->classes[3] = NULL;
	pa_job_init(&job, 1);
	CHECK_OK(pa_picture_create(census, &job, &picture));
	CHECK(picture->poisoned == 1);
	CHECK(picture->sections[1].cells.items[0] ==
	      (PA_PICTURE_FREE | PA_PICTURE_HWPOISON));
	CHECK(take_run(&picture->sections[1], &at).nr == 3);
	run = take_run(&picture->sections[1], &at);
	CHECK(run.kind == (PA_PICTURE_FREE | PA_PICTURE_HWPOISON));
	CHECK(run.nr == 1);
	CHECK(run.order == MACHINE_FREE_ORDER);
	run = take_run(&picture->sections[1], &at);
	CHECK(run.kind == PA_PICTURE_FREE);
	CHECK(run.nr == 1020);

	/* The page before them is none that has tails. */
	at = 0;
	run = take_run(&picture->sections[2], &at);
	CHECK(run.kind == PA_PICTURE_TAIL);
	CHECK(run.nr == 8);

	/* Tails that their folio's head does not reach. */
	at = 0;
	take_run(&picture->sections[0], &at);
	run = take_run(&picture->sections[0], &at);
	CHECK(run.kind == PA_PICTURE_FILE);
	CHECK(run.nr == 1);
	CHECK(take_run(&picture->sections[0], &at).kind == PA_PICTURE_UNKNOWN);
	run = take_run(&picture->sections[0], &at);
	CHECK(run.kind == PA_PICTURE_TAIL);
	CHECK(run.nr == 510);

	CHECK(!picture->sections[3].cells.length);
	CHECK(!picture->sections[3].runs.length);
	pa_picture_destroy(picture);
}

int main(void)
{
	struct machine *m = machine_create(1);
	struct pa_kernel *kernel;
	struct pa_picture *picture;
	struct pa_census *census;
	struct pa_job job;
	uint64_t tiles = m->pages / MACHINE_TILE_PAGES;

	CHECK_OK(pa_kernel_create(&m->base, &m->layout, &kernel));
	picture = draw(kernel, &census);
	pa_job_init(&job, 2);
	CHECK(!picture->poisoned);
	for (size_t i = 0; i < TILE_RUNS; i++)
		CHECK(picture->pages[tile[i].kind] == tiles * tile[i].nr);
	for (size_t i = 0; i < kernel->sections.list.length; i++)
		check_section(&picture->sections[i]);
	pa_picture_destroy(picture);
	CHECK_OK(check_picture(census, &job));
	check_marked(census);
	pa_census_destroy(census);
	pa_kernel_destroy(kernel);
	pa_source_destroy(&m->base);
	return CHECK_DONE();
}
