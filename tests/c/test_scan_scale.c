// SPDX-License-Identifier: LGPL-2.1-or-later
/* The memory map of a machine of 64 GiB: whole, and with one page broken. */
#include "check.h"
#include "checks/audit.h"
#include "machine.h"

#define GIB 64

static struct pa_audit *audit(struct machine *m, struct pa_kernel **kernel_ret)
{
	struct pa_audit *audit;
	struct pa_job job;

	pa_job_init(&job, 2);
	CHECK_OK(pa_kernel_create(&m->base, &m->layout, kernel_ret));
	CHECK_OK(pa_audit_run(*kernel_ret, NULL, NULL, &job, &audit));
	return audit;
}

/* For people: what should not be there. */
static void show_findings(const struct pa_audit *a)
{
	for (size_t i = 0; i < a->findings.list.length && i < 10; i++)
		fprintf(stderr, "%s\n", a->findings.list.items[i].summary);
}

static void check_whole(struct machine *m)
{
	uint64_t tiles = m->pages / MACHINE_TILE_PAGES;
	struct pa_kernel *kernel;
	struct pa_audit *a = audit(m, &kernel);
	const struct pa_census *census = a->census;

	CHECK(census->pages_read == m->pages);
	CHECK(!census->pages_excluded && !census->pages_unreadable);
	CHECK(!census->anomalies.length);
	CHECK(census->references == tiles);
	CHECK(census->zones[0].pages == m->pages);
	CHECK(census->zones[0].nr_free[MACHINE_FREE_ORDER] == tiles);
	CHECK(census->zones[0].free_pages == tiles << MACHINE_FREE_ORDER);
	for (uint64_t tile = 0; tile < tiles; tile += tiles - 1) {
		uint64_t pfn = tile * MACHINE_TILE_PAGES;

		CHECK(*pa_census_class(census, pfn) ==
		      ((PA_CLASS_FREE + MACHINE_FREE_ORDER) | PA_MARK_LISTED));
		CHECK(*pa_census_class(census, pfn + 1023) ==
		      PA_CLASS_FREE_BODY);
		CHECK(*pa_census_class(census, pfn + 1535) == PA_CLASS_TAIL);
		CHECK(*pa_census_class(census, pfn + 1536) == PA_CLASS_LRU);
		CHECK(*pa_census_class(census, pfn + 1792) ==
		      PA_CLASS_USED_HEAD);
		CHECK(*pa_census_class(census, pfn + 2047) == PA_CLASS_USED);
	}
	CHECK(!a->findings.list.length);
	show_findings(a);
	CHECK(a->results[PA_CHECK_ZONE_ACCOUNTING].status == PA_RAN);
	CHECK(a->results[PA_CHECK_BUDDY_STRUCTURE].status == PA_RAN);
	CHECK(a->results[PA_CHECK_COMPOUND_STRUCTURE].status == PA_RAN);
	CHECK(a->results[PA_CHECK_LOST_FREE_PAGES].status == PA_RAN);
	pa_audit_destroy(a);
	pa_kernel_destroy(kernel);
}

/* One page of millions is found, wherever it lies. */
static void check_broken(struct machine *m, uint64_t pfn, uint32_t refcount,
			 enum pa_check_id check)
{
	struct pa_kernel *kernel;
	struct pa_audit *a;

	m->broken_pfn = pfn;
	m->broken_refcount = refcount;
	a = audit(m, &kernel);
	CHECK(a->findings.list.length == 1);
	if (a->findings.list.length != 1)
		show_findings(a);
	if (a->findings.list.length == 1) {
		const struct pa_finding *f = &a->findings.list.items[0];

		CHECK(f->check == (int)check);
		CHECK(f->severity == PA_BUG);
		CHECK(f->pfn == pfn && f->pfn_end == pfn + 1);
	}
	pa_audit_destroy(a);
	pa_kernel_destroy(kernel);
}

/* A page without references: no task is known that could have it in hand. */
static void check_lost(struct machine *m, uint64_t pfn)
{
	struct pa_kernel *kernel;
	struct pa_audit *a;

	m->broken_pfn = pfn;
	m->broken_refcount = 0;
	a = audit(m, &kernel);
	CHECK(*pa_census_class(a->census, pfn) == PA_CLASS_ZERO);
	CHECK(!a->findings.list.length);
	CHECK(a->results[PA_CHECK_LOST_FREE_PAGES].status == PA_PARTIAL);
	show_findings(a);
	pa_audit_destroy(a);
	pa_kernel_destroy(kernel);
}

int main(void)
{
	struct machine *m = machine_create(GIB);

	check_whole(m);
	/* In a free block; the last tail of a THP. */
	check_broken(m, 3 * MACHINE_TILE_PAGES + 1023, 1,
		     PA_CHECK_BUDDY_STRUCTURE);
	check_broken(m, m->pages - MACHINE_TILE_PAGES + 1535, 1,
		     PA_CHECK_COMPOUND_STRUCTURE);
	check_lost(m, m->pages - 2);
	pa_source_destroy(&m->base);
	return CHECK_DONE();
}
