// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that are unmapped and not yet freed: mm/mmu_gather.c. Who unmaps keeps
 * them in a struct mmu_gather on its stack until TLBs are flushed: each entry
 * is the reference of the mapping that is gone. Since v6.2 the mapcount of some
 * is dropped later, too (commit 5df397dec7c4: ENCODED_PAGE_BIT_DELAY_RMAP), and
 * since v6.9 an entry may be followed by the number of pages that it is for
 * (commit d7f861b9c43a: ENCODED_PAGE_BIT_NR_PAGES_NEXT).
 */
#include <stdlib.h>

#include "census/dropping.h"
#include "census/holders.h"
#include "census/page_table.h"
#include "census/slabs.h"

/* MAX_GATHER_BATCH_COUNT is 10000 pages' worth of batches. */
#define MAX_BATCHES 64
#define MAX_ENTRIES (PA_TABLE_BYTES / 8)
#define MAX_GATHER_BYTES 512

/* The low bits of encoded pages; macros. */
#define DELAY_RMAP 1
#define NR_PAGES_NEXT 2
#define PAGE_FLAGS 3
#define NR_PAGES_SHIFT 2

/* A batch of a mmu_gather. */
struct batch {
	uint64_t task;
	/* Virtual addresses of the mmu_gather, and of the first entry. */
	uint64_t gather, entries;
	/* Of the mm that is unmapped from; 0: it has none. */
	uint32_t mm_id;
	uint32_t nr;
	/* The task is dropping references: nothing is certain. */
	bool unsure;
	/* The mapcounts of entries that say so are still to be dropped. */
	bool delayed;
};

struct gathers {
	PA_ARRAY(struct batch) batches;
};

struct finding {
	struct pa_holder_walk *walk;
	struct gathers *gathers;
	struct pa_dropping dropping;
	/* pages or encoded_pages. */
	const struct pa_member *entries;
	struct pa_error *err;
};

static const struct pa_member *entries_member(const struct pa_layout *layout)
{
	return PA_HAS(layout, mmu_gather_batch, encoded_pages) ?
		       PA_M(layout, mmu_gather_batch, encoded_pages) :
		       PA_M(layout, mmu_gather_batch, pages);
}

struct header {
	uint64_t next;
	uint32_t nr, max;
};

static void load_header(const struct pa_layout *layout, const uint8_t *bytes,
			struct header *ret)
{
	ret->next = PA_GET(layout, bytes, mmu_gather_batch, next);
	ret->nr = (uint32_t)PA_GET(layout, bytes, mmu_gather_batch, nr);
	ret->max = (uint32_t)PA_GET(layout, bytes, mmu_gather_batch, max);
}

/* A batch that is a page of its own: tlb_next_batch(). */
static struct pa_error *read_header(const struct finding *f, uint64_t address,
				    struct header *ret, bool *good_ret)
{
	uint8_t bytes[64];
	struct pa_error *err;

	*good_ret = false;
	if (!pa_is_kernel_address(address) || address % PA_TABLE_BYTES)
		return NULL;
	err = pa_memory_read(f->walk->memory, address, f->entries->offset,
			     bytes);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	load_header(f->walk->layout, bytes, ret);
	*good_ret = ret->max == (PA_TABLE_BYTES - f->entries->offset) / 8 &&
		    ret->nr <= ret->max;
	return NULL;
}

/* An mm_struct, as far as the census of slabs can tell. */
static struct pa_error *is_mm(const struct finding *f, uint64_t mm, bool *ret)
{
	const struct pa_census *census = f->walk->census;
	struct pa_slab_place place = { 0 };
	struct pa_error *err;

	*ret = pa_is_kernel_address(mm) && !(mm & 7);
	if (!*ret || !census->slabs)
		return NULL;
	err = pa_slabs_place(census, f->walk->memory, mm, &place);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (!err && place.slab)
		*ret = place.object == mm && place.allocated;
	return err;
}

static bool is_delayed(const struct pa_layout *layout, const uint8_t *bytes)
{
	const struct pa_member *member = PA_M(layout, mmu_gather, delayed_rmap);

	return member->known && member->size <= 8 &&
	       pa_load_uint(bytes + member->offset, member->size) >>
			       member->bit_offset &
		       PA_MASK(member->bit_size ? member->bit_size : 1);
}

static uint32_t mm_id(const struct pa_census *census, uint64_t address)
{
	const struct pa_mm *mm =
		census->page_tables ?
			pa_mms_find(&census->page_tables->mms, address) :
			NULL;

	return mm ? mm->mm_id : 0;
}

/*
 * Whether a struct mmu_gather lies at @address, whose bytes are @bytes, and
 * its batches: the chain of batches leads to the active one.
 */
static struct pa_error *look_at(struct finding *f, uint64_t task,
				uint64_t address, const uint8_t *bytes)
{
	const struct pa_layout *layout = f->walk->layout;
	uint32_t local_at = PA_OFFSETOF(layout, mmu_gather, local);
	uint64_t local = address + local_at;
	uint64_t active = PA_GET(layout, bytes, mmu_gather, active);
	uint64_t mm = PA_GET(layout, bytes, mmu_gather, mm);
	struct batch found[MAX_BATCHES];
	struct header header;
	struct batch batch = {
		.task = task,
		.gather = address,
		.entries = address + PA_OFFSETOF(layout, mmu_gather, __pages),
		.unsure = pa_dropping_has(&f->dropping, task),
		.delayed = is_delayed(layout, bytes),
		.mm_id = mm_id(f->walk->census, mm),
	};
	size_t nr = 0;
	bool good, met_active = active == local;

	load_header(layout, bytes + local_at, &header);
	if (header.max != PA_M(layout, mmu_gather, __pages)->length ||
	    header.nr > header.max)
		return NULL;

	struct pa_error *err = is_mm(f, mm, &good);

	while (!err && good) {
		/*
		 * Where freeing stops for a breath the rest has moved up, but
		 * a batch of none is done with: frames that were left have
		 * nothing else.
		 */
		batch.nr = header.nr && batch.unsure ? header.max : header.nr;
		found[nr++] = batch;
		if (!header.next)
			break;

		uint64_t next = header.next;

		err = read_header(f, next, &header, &good);
		good = good && nr < MAX_BATCHES;
		met_active = met_active || next == active;
		batch.entries = next + f->entries->offset;
	}
	if (err || !good || !met_active)
		return err;
	for (size_t i = 0; i < nr; i++)
		if (found[i].nr &&
		    !pa_array_append(&f->gathers->batches, found[i]))
			return &pa_error_no_memory;
	return NULL;
}

static bool visit_stack(struct finding *f, const struct pa_stack *stack)
{
	const struct pa_layout *layout = f->walk->layout;
	size_t size = PA_SIZEOF(layout, mmu_gather) / 8;

	for (size_t i = 0; stack->address && !f->err && i + size <= stack->nr;
	     i++)
		f->err = look_at(f, stack->task, stack->address + i * 8,
				 (const uint8_t *)&stack->words[i]);
	return !f->err;
}

static bool is_usable(const struct pa_layout *layout)
{
	const struct pa_member *entries = entries_member(layout);
	uint32_t size = PA_SIZEOF(layout, mmu_gather);
	const struct pa_member *const members[] = {
		PA_M(layout, mmu_gather, mm),
		PA_M(layout, mmu_gather, active),
		PA_M(layout, mmu_gather, local),
		PA_M(layout, mmu_gather, __pages),
		PA_M(layout, mmu_gather_batch, next),
		PA_M(layout, mmu_gather_batch, nr),
		PA_M(layout, mmu_gather_batch, max),
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!members[i]->known ||
		    members[i]->offset + members[i]->size > size)
			return false;
	return size <= MAX_GATHER_BYTES && entries->known &&
	       PA_SIZEOF(layout, mmu_gather_batch) == entries->offset &&
	       entries->offset <= 64;
}

struct pa_error *pa_mmu_gather_prepare(struct pa_holder_walk *walk,
				       void **state_ret, uint64_t *nr_ret)
{
	const struct pa_layout *layout = walk->layout;
	struct finding f = {
		.walk = walk,
		.entries = entries_member(layout),
	};
	struct pa_error *err;

	if (!is_usable(layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct mmu_gather is not usable");
	f.gathers = calloc(1, sizeof(*f.gathers));
	if (!f.gathers)
		return &pa_error_no_memory;
	*state_ret = f.gathers;
	err = pa_dropping_find(walk->census, &f.dropping);
	pa_array_for_each(stack, &walk->census->stacks.list)
		if (err || !visit_stack(&f, stack))
			break;
	pa_dropping_deinit(&f.dropping);
	walk->unreadable += walk->census->stacks.unread;
	*nr_ret = f.gathers->batches.length;
	return err ? err : f.err;
}

/* Whether nothing more can be said of an unsure entry than that it names it. */
static bool is_usable_page(const struct pa_holder_walk *walk, uint64_t page)
{
	uint64_t pfn;

	return pa_census_target(walk->census, page, &pfn) == PA_TARGET_USABLE;
}

/* The mm still counts as one that maps the folio: folio_remove_rmap_ptes(). */
static void count_folio(struct pa_holder_walk *walk, const struct batch *batch,
			uint64_t pfn, uint32_t nr)
{
	const struct pa_page_tables *tables = walk->census->page_tables;
	struct pa_mm_id_folio *folio =
		tables && !walk->watch ?
			pa_mm_ids_find(walk->kernel, &tables->mm_ids, pfn) :
			NULL;

	if (folio)
		pa_mm_id_add(folio, batch->mm_id, nr);
}

/* @nr pages from @page on. */
static bool refer(struct pa_holder_walk *walk, const struct batch *batch,
		  struct pa_reference *ref, uint64_t page, uint32_t nr,
		  bool rmap)
{
	uint32_t size = walk->kernel->page_format.size;

	if (batch->unsure) {
		ref->kind = PA_REF_UNSURE;
		ref->count = nr;
		return !is_usable_page(walk, page) ||
		       pa_refer_page(walk, page, ref);
	}
	if (!rmap) {
		ref->kind = PA_REF_GET;
		ref->count = nr;
		return pa_refer_page(walk, page, ref);
	}
	ref->kind = PA_REF_MAP;
	ref->count = 1;
	for (uint32_t i = 0; i < nr; i++)
		if (!pa_refer_page(walk, page + (uint64_t)i * size, ref))
			return false;
	if (pa_page_to_pfn(walk->kernel, page, &ref->pfn))
		count_folio(walk, batch, ref->pfn, nr);
	return true;
}

struct pa_error *pa_mmu_gather_item(struct pa_holder_walk *walk, uint64_t index)
{
	const struct gathers *gathers = walk->state;
	const struct batch *batch = &gathers->batches.items[index];
	bool encoded = PA_HAS(walk->layout, mmu_gather_batch, encoded_pages);
	uint64_t entries[MAX_ENTRIES];
	struct pa_error *err = pa_memory_read(walk->memory, batch->entries,
					      (uint64_t)batch->nr * 8, entries);

	if (err)
		return err;
	for (uint32_t i = 0; i < batch->nr; i++) {
		uint64_t flags = encoded ? entries[i] & PAGE_FLAGS : 0;
		uint64_t nr = 1;
		struct pa_reference ref = {
			.holder = walk->holder,
			.slot = batch->entries + i * 8,
			.owner = batch->task,
			.index = batch->gather,
		};
		uint64_t page = entries[i] - flags;

		if (flags & NR_PAGES_NEXT && i + 1 < batch->nr)
			nr = entries[++i] >> NR_PAGES_SHIFT;
		/* No folio is that large. */
		if (!nr || nr > PA_BIT(walk->kernel->page_format.max_order)) {
			walk->unreadable++;
			continue;
		}
		if (!refer(walk, batch, &ref, page, (uint32_t)nr,
			   batch->delayed && flags & DELAY_RMAP))
			break;
	}
	return NULL;
}

void pa_mmu_gather_destroy(void *state)
{
	struct gathers *gathers = state;

	pa_array_deinit(&gathers->batches);
	free(gathers);
}
