// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/zone_balloon.h"

/* VIRTIO_BALLOON_ARRAY_PFNS_MAX: of one list. */
#define MAX_PAGES 256

/* The page of @zone whose lru is at @node, after @prev; false: it is none. */
static bool is_next(const struct pa_check_context *c,
		    const struct pa_zone *zone, uint64_t node, uint64_t prev,
		    uint64_t *next_ret)
{
	const struct pa_kernel *kernel = c->kernel;
	const uint8_t *class;
	uint64_t pfn, links[2];
	struct pa_error *err;

	if (!pa_page_to_pfn(kernel, node - kernel->page_format.lru, &pfn) ||
	    !pa_zone_spans(zone, pfn))
		return false;
	class = pa_census_class(c->census, pfn);
	if (!class || (*class & PA_CLASS_MASK) != PA_CLASS_USED)
		return false;
	err = pa_memory_read(c->memmap->memory, node, sizeof(links), links);
	if (err) {
		pa_error_destroy(err);
		return false;
	}
	*next_ret = links[0];
	return links[1] == prev;
}

/* Pages of the list whose head is at @head; 0: there is no whole one. */
static uint64_t count_list(const struct pa_check_context *c,
			   const struct pa_zone *zone, uint64_t head,
			   uint64_t node)
{
	uint64_t prev = head, next, nr = 0;

	for (; nr < MAX_PAGES && is_next(c, zone, node, prev, &next); nr++) {
		prev = node;
		node = next;
	}
	return node == head ? nr : 0;
}

uint64_t pa_balloon_released(const struct pa_check_context *c,
			     const struct pa_zone *zone)
{
	uint64_t pages = 0;

	pa_array_for_each(stack, &c->census->stacks.list)
		for (size_t i = 0; stack->address && i < stack->nr; i++)
			pages += count_list(c, zone, stack->address + i * 8,
					    stack->words[i]);
	return pages;
}
