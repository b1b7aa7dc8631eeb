// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/page_reporting.h"

/* PAGE_REPORTING_CAPACITY */
#define CAPACITY 32
#define MAX_ENTRY_BYTES 64
/* SG_CHAIN and SG_END, in page_link. */
#define LINK_FLAGS UINT64_C(3)

/* Whether @entry is a block of free pages, and its first. */
static bool is_block(const struct pa_kernel *kernel, const uint8_t *entry,
		     uint64_t *pfn_ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t link = PA_GET(layout, entry, scatterlist, page_link);
	uint64_t pages = PA_GET(layout, entry, scatterlist, length) >>
			 kernel->space.page_shift;

	return pages && !(pages & (pages - 1)) &&
	       pa_page_to_pfn(kernel, link & ~LINK_FLAGS, pfn_ret) &&
	       !(*pfn_ret & (pages - 1));
}

/* The scatterlist at @address, if there is one. */
static struct pa_error *add_list(struct pa_census *census,
				 struct pa_memory *memory, uint64_t task,
				 uint64_t address)
{
	uint32_t size = PA_SIZEOF(census->kernel->layout, scatterlist);
	uint8_t bytes[CAPACITY * MAX_ENTRY_BYTES];
	struct pa_error *err =
		pa_memory_read(memory, address, CAPACITY * size, bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	for (unsigned int i = 0; i < CAPACITY; i++) {
		struct pa_handled handled = { .task = task };

		if (is_block(census->kernel, bytes + i * size, &handled.pfn) &&
		    !pa_array_append(&census->handled, handled))
			return &pa_error_no_memory;
	}
	return NULL;
}

struct pa_error *pa_page_reporting_add(struct pa_census *census,
				       struct pa_memory *memory)
{
	static const enum pa_symbol_id function[] = {
		PA_SYM_page_reporting_process,
	};
	const struct pa_layout *layout = census->kernel->layout;
	struct pa_error *err = NULL;

	if (!PA_HAS(layout, scatterlist, page_link) ||
	    !PA_HAS(layout, scatterlist, length) ||
	    PA_SIZEOF(layout, scatterlist) > MAX_ENTRY_BYTES)
		return NULL;
	pa_array_for_each(stack, &census->stacks.list) {
		if (!pa_stack_is_in(layout, stack, function, 1))
			continue;
		for (size_t i = 0; !err && i < stack->nr; i++)
			if (pa_is_kernel_address(stack->words[i]) &&
			    !(stack->words[i] & 7))
				err = add_list(census, memory, stack->task,
					       stack->words[i]);
	}
	return err;
}
