// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether what names a table may: a running kernel takes tables away and makes new ones. */
#include "census/page_table_walk.h"

/* Of a struct page: pa_page_format_init() takes no larger one. */
#define MAX_PAGE_BYTES 256

/* Classes of a page that a table may be. */
static bool is_table_class(uint8_t class)
{
	switch (class) {
	case PA_CLASS_UNKNOWN:
	case PA_CLASS_RESERVED:
	case PA_CLASS_USED:
	case PA_CLASS_USED_HEAD:
	case PA_CLASS_FROZEN:
	case PA_CLASS_FROZEN_HEAD:
		return true;
	default:
		return false;
	}
}

struct pa_error *pa_table_is_linked(struct pa_table_walk *walk,
				    const struct pa_table_link *link, bool *ret)
{
	const struct pa_layout *layout = walk->holder->layout;
	struct pa_memory *memory = walk->holder->memory;
	uint64_t mm = walk->mm->address, value;
	uint32_t references = 1;
	struct pa_error *err;

	*ret = true;
	if (!walk->holder->kernel->source->info.live)
		return NULL;
	err = pa_memory_read_u64(memory, link->slot, &value);
	if (!err && link->slot == mm + PA_OFFSETOF(layout, mm_struct, pgd))
		err = pa_memory_read_u32(
			memory, mm + PA_OFFSETOF(layout, mm_struct, mm_count),
			&references);
	if (err && !pa_error_is_target(err))
		return err;
	*ret = !err && value == link->value && references;
	pa_error_destroy(err);
	return NULL;
}

struct pa_error *pa_table_may_be(struct pa_table_walk *walk, uint64_t pfn,
				 bool *ret)
{
	const struct pa_kernel *kernel = walk->holder->kernel;
	const struct pa_page_format *f = &kernel->page_format;
	const struct pa_sections *sections = &kernel->sections;
	const uint8_t *byte = pa_census_class(walk->holder->census, pfn);
	uint64_t section = pfn >> sections->pages_shift;
	uint8_t page[MAX_PAGE_BYTES];
	struct pa_error *err;

	*ret = section < sections->index_length && sections->index[section];
	if (!*ret || !byte || is_table_class(*byte & PA_CLASS_MASK))
		return NULL;
	*ret = false;
	if (!kernel->source->info.live)
		return NULL;
	err = pa_memory_read(walk->holder->memory, pa_pfn_to_page(kernel, pfn),
			     f->size, page);
	if (!err)
		*ret = pa_page_refcount(f, page) ||
		       pa_page_type(f, pa_page_type_word(f, page)) ==
			       PA_PAGE_TABLE;
	return pa_holder_unread(walk->holder, err);
}
