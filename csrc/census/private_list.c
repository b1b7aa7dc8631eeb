// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/private_list.h"

void pa_private_lists_deinit(struct pa_private_lists *lists)
{
	pa_map_deinit(&lists->met);
}

uint64_t pa_private_list_pfn(const struct pa_private_lists *lists,
			     uint64_t node)
{
	const struct pa_kernel *kernel = lists->kernel;
	uint64_t pfn;

	return pa_page_to_pfn(kernel, node - kernel->page_format.lru, &pfn) ?
		       pfn :
		       PA_NO_PFN;
}

/* Known to be on a list that is not private, and may be long. */
static bool is_listed(const struct pa_private_lists *lists, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(lists->census, pfn);
	uint8_t class = byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;

	return class == PA_CLASS_LRU || class == PA_CLASS_LRU_UNEVICTABLE ||
	       class == PA_CLASS_PCP || class >= PA_CLASS_FREE;
}

/* Follows links from @node to what is no page, or was met before. */
static struct pa_error *follow(struct pa_private_lists *lists, uint64_t node,
			       uint64_t *head_ret)
{
	*head_ret = 0;
	for (uint64_t i = 0; i < PA_PRIVATE_LIST_MAX; i++) {
		uint64_t next, back, pfn;
		struct pa_error *err = pa_memory_read_near(
			lists->memory, &lists->near, node, sizeof(next), &next);

		if (err)
			return err;
		if (!pa_is_kernel_address(next) || next & 7)
			return NULL;
		pfn = pa_private_list_pfn(lists, next);
		err = pfn == PA_NO_PFN ?
			      pa_memory_read_u64(lists->memory, next + 8,
						 &back) :
			      pa_memory_read_near(lists->memory,
						  &lists->near_next, next + 8,
						  sizeof(back), &back);
		if (err)
			return err;
		if (back != node)
			return NULL;
		/* Only here: most pages that nobody has are on no list. */
		if (!pa_map_set(&lists->met, node, 0))
			return &pa_error_no_memory;
		if (pfn == PA_NO_PFN) {
			*head_ret = next;
			return NULL;
		}
		if (is_listed(lists, pfn))
			return NULL;
		/* It goes on as it did for that page. */
		if (pa_map_get(&lists->met, next, head_ret))
			return NULL;
		node = next;
	}
	return NULL;
}

struct pa_error *pa_private_list_head(struct pa_private_lists *lists,
				      uint64_t pfn, uint64_t *head_ret)
{
	const struct pa_kernel *kernel = lists->kernel;
	uint64_t start = pa_pfn_to_page(kernel, pfn) + kernel->page_format.lru;
	uint64_t known = 0;
	struct pa_error *err;

	if (pa_map_get(&lists->met, start, head_ret))
		return NULL;
	err = follow(lists, start, head_ret);
	if (err || !*head_ret)
		return err;
	/* Those on the way are on the same list. */
	for (uint64_t node = start; node != *head_ret &&
				    pa_map_get(&lists->met, node, &known) &&
				    !known;) {
		if (!pa_map_set(&lists->met, node, *head_ret))
			return &pa_error_no_memory;
		err = pa_memory_read_near(lists->memory, &lists->near, node,
					  sizeof(node), &node);
		if (err)
			return err;
	}
	return NULL;
}
