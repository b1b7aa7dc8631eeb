// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/snapshot.h"

#define MAX_PAGE_BYTES 256

struct taking {
	const struct pa_kernel *kernel;
	struct pa_memory *memory;
	/* Where pages lie, and heads of other folios' tails. */
	struct pa_memory_page near, near_head;
	/* The digest so far. */
	uint64_t digest;
};

/* Each word changes all bits of what follows (a splitmix64 step). */
static void enter(struct taking *t, uint64_t word)
{
	uint64_t d = (t->digest ^ word) + UINT64_C(0x9e3779b97f4a7c15);

	d = (d ^ d >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	d = (d ^ d >> 27) * UINT64_C(0x94d049bb133111eb);
	t->digest = d ^ d >> 31;
}

/* The counters of a folio whose first @bytes of struct pages are @head. */
static void enter_counters(struct taking *t, const uint8_t *head,
			   uint32_t bytes, uint32_t order)
{
	const struct pa_mapcount_format *m = &t->kernel->mapcount_format;
	const uint32_t offsets[] = {
		m->entire,
		m->large,
		m->nr_pages_mapped,
		pa_has_pincount(m, order) ? m->pincount : 0,
	};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		if (offsets[i] && offsets[i] < bytes)
			enter(t, pa_load_u32(head + offsets[i]));
}

static struct pa_error *enter_folio(struct taking *t, uint64_t head_page,
				    struct pa_memory_page *near)
{
	const struct pa_page_format *f = &t->kernel->page_format;
	uint8_t head[PA_FOLIO_HEAD_PAGES * MAX_PAGE_BYTES];
	uint32_t bytes = 2 * f->size, order;
	struct pa_error *err;

	enter(t, head_page);
	err = pa_memory_read_near(t->memory, near, head_page, bytes, head);
	if (err)
		return err;
	order = pa_folio_order(f, head);
	enter(t, order);
	enter(t, pa_page_flags(f, head));
	enter(t, pa_page_refcount(f, head));
	if (!order)
		return NULL;
	if (order > 1) {
		bytes = PA_FOLIO_HEAD_PAGES * f->size;
		err = pa_memory_read_near(t->memory, near, head_page, bytes,
					  head);
	}
	if (!err)
		enter_counters(t, head, bytes, order);
	return err;
}

static struct pa_error *take_page(struct taking *t, uint64_t pfn)
{
	const struct pa_page_format *f = &t->kernel->page_format;
	uint64_t address = pa_pfn_to_page(t->kernel, pfn);
	uint8_t page[MAX_PAGE_BYTES];
	struct pa_error *err = pa_memory_read_near(t->memory, &t->near, address,
						   f->size, page);

	if (err)
		return err;

	bool tail = pa_page_is_tail(f, page);
	uint64_t head;

	for (uint32_t i = 0; i < f->size; i += 8)
		if (tail || i < f->lru || i >= f->lru + 16)
			enter(t, pa_load_u64(page + i));
	if (!tail)
		return enter_folio(t, address, &t->near);
	/* It may name anything. */
	head = pa_page_head(f, page, address);
	if (!pa_page_to_pfn(t->kernel, head, &pfn))
		return NULL;
	return enter_folio(t, head, &t->near_head);
}

struct pa_error *pa_snapshot(const struct pa_kernel *kernel,
			     const uint64_t *pfns, size_t nr, uint64_t *digests)
{
	struct taking t = { .kernel = kernel };
	struct pa_error *err = pa_kernel_memory(kernel, &t.memory);

	for (size_t i = 0; !err && i < nr; i++) {
		t.digest = 0;
		err = take_page(&t, pfns[i]);
		digests[i] = err ? 0 : t.digest;
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			err = NULL;
		}
	}
	pa_memory_destroy(t.memory);
	return err;
}
