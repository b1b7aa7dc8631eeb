// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Per-cpu batches of folios on their way from one LRU list to another:
 * mm/swap.c.
 *
 * A folio in such a batch stays on its list until folio_batch_move_lru() takes
 * the lock. PG_lru says so, but v6.11 to v6.17 cleared it when the folio was
 * put in the batch (commit 33dfe9204f29, taken back since by stable kernels).
 * Folios in lru_add are on no list yet, those to be mlocked keep PG_lru.
 */
#include <stdlib.h>

#include "census/lru.h"
#include "types/layout.h"

/* PAGEVEC_SIZE is 31; nr is a byte. */
#define MAX_SLOTS 255

static const struct {
	enum pa_symbol_id symbol;
	enum pa_member_id member;
	/* A struct pagevec, else a struct folio_batch. */
	bool pagevec;
} batches[] = {
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_deactivate_file, true },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_deactivate, true },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__lru_lazyfree, true },
	{ PA_SYM_lru_pvecs, PA_MEMBER_lru_pvecs__activate_page, true },
	{ PA_SYM_lru_rotate, PA_MEMBER_lru_rotate__pvec, true },
	{ PA_SYM_lru_rotate, PA_MEMBER_lru_rotate__fbatch, false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_deactivate_file,
	  false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_deactivate, false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_lazyfree, false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__activate, false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_activate, false },
	{ PA_SYM_cpu_fbatches, PA_MEMBER_cpu_fbatches__lru_move_tail, false },
};

static struct pa_error *read_batch(struct pa_memory *memory,
				   const struct pa_member *nr,
				   const struct pa_member *slots,
				   uint64_t address, struct pa_lru_census *lru)
{
	uint64_t pages[MAX_SLOTS];
	uint8_t n;
	struct pa_error *err =
		pa_memory_read(memory, address + nr->offset, 1, &n);

	if (!err && n > slots->length)
		n = (uint8_t)slots->length;
	if (!err && n)
		err = pa_memory_read(memory, address + slots->offset,
				     (uint64_t)n * 8, pages);
	for (uint8_t i = 0; !err && i < n; i++)
		if (!pa_array_append(&lru->batched, pages[i]))
			err = &pa_error_no_memory;
	return err;
}

static int compare_pages(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct pa_error *pa_lru_batches_read(const struct pa_kernel *kernel,
				     struct pa_memory *memory,
				     struct pa_lru_census *lru,
				     uint64_t *unreadable)
{
	const struct pa_layout *layout = kernel->layout;
	const size_t nr_batches = sizeof(batches) / sizeof(batches[0]);

	for (size_t i = 0; i < kernel->cpus.list.length * nr_batches; i++) {
		const struct pa_cpu *cpu =
			&kernel->cpus.list.items[i / nr_batches];
		const struct pa_symbol *symbol =
			&layout->symbols[batches[i % nr_batches].symbol];
		const struct pa_member *member =
			&layout->members[batches[i % nr_batches].member];
		bool pagevec = batches[i % nr_batches].pagevec;
		const struct pa_member *nr =
			pagevec ? PA_M(layout, pagevec, nr) :
				  PA_M(layout, folio_batch, nr);
		const struct pa_member *slots =
			pagevec ? PA_M(layout, pagevec, pages) :
				  PA_M(layout, folio_batch, folios);
		struct pa_error *err;

		if (!symbol->known || !member->known || !nr->known ||
		    !slots->known)
			continue;
		err = read_batch(memory, nr, slots,
				 symbol->address + cpu->offset + member->offset,
				 lru);
		if (pa_error_is_target(err)) {
			pa_error_destroy(err);
			++*unreadable;
			continue;
		}
		if (err)
			return err;
	}
	if (lru->batched.length)
		qsort(lru->batched.items, lru->batched.length,
		      sizeof(*lru->batched.items), compare_pages);
	return NULL;
}

bool pa_lru_is_batched(const struct pa_lru_census *lru, uint64_t page)
{
	return lru->batched.length &&
	       bsearch(&page, lru->batched.items, lru->batched.length,
		       sizeof(page), compare_pages);
}
