// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/hugetlb.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "types/layout.h"

/* HUGE_MAX_HSTATE is 2 on x86_64, 5 on powerpc. */
#define MAX_HSTATES 16
#define MAX_HSTATE_BYTES PA_BIT(20)
#define MAX_NODES 4096

/* An unsigned int for each node. */
static bool are_counts(const struct pa_member *m, uint32_t nr_nodes)
{
	return m->length == nr_nodes && m->element_size == sizeof(uint32_t);
}

static bool is_usable(const struct pa_layout *layout)
{
	static const enum pa_member_id needed[] = {
		PA_MEMBER_hstate__order,
		PA_MEMBER_hstate__max_huge_pages,
		PA_MEMBER_hstate__nr_huge_pages,
		PA_MEMBER_hstate__free_huge_pages,
		PA_MEMBER_hstate__resv_huge_pages,
		PA_MEMBER_hstate__surplus_huge_pages,
		PA_MEMBER_hstate__hugepage_activelist,
		PA_MEMBER_hstate__hugepage_freelists,
		PA_MEMBER_hstate__nr_huge_pages_node,
		PA_MEMBER_hstate__free_huge_pages_node,
		PA_MEMBER_hstate__surplus_huge_pages_node,
		PA_MEMBER_hstate__name,
	};
	uint64_t size = PA_SIZEOF(layout, hstate);
	uint32_t nr_nodes = PA_M(layout, hstate, hugepage_freelists)->length;

	if (!size || size > MAX_HSTATE_BYTES || !nr_nodes ||
	    nr_nodes > MAX_NODES)
		return false;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		const struct pa_member *m = &layout->members[needed[i]];

		if (!m->known || m->offset > size || m->size > size - m->offset)
			return false;
	}
	return are_counts(PA_M(layout, hstate, nr_huge_pages_node), nr_nodes) &&
	       are_counts(PA_M(layout, hstate, free_huge_pages_node),
			  nr_nodes) &&
	       are_counts(PA_M(layout, hstate, surplus_huge_pages_node),
			  nr_nodes);
}

static void load_counts(const struct pa_member *m, const uint8_t *bytes,
			uint32_t nr_nodes, uint32_t *ret)
{
	for (uint32_t i = 0; i < nr_nodes; i++)
		ret[i] = pa_load_u32(bytes + m->offset +
				     (size_t)i * m->element_size);
}

static struct pa_error *read_hstate(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t address, uint32_t nr_nodes,
				    uint8_t *bytes, struct pa_hstate *ret)
{
	const struct pa_member *name = PA_M(layout, hstate, name);
	struct pa_hstate h = { .address = address };
	struct pa_error *err = pa_memory_read(memory, address,
					      PA_SIZEOF(layout, hstate), bytes);

	if (err)
		return err;
	h.order = (uint32_t)PA_GET(layout, bytes, hstate, order);
	h.max = PA_GET(layout, bytes, hstate, max_huge_pages);
	h.nr = PA_GET(layout, bytes, hstate, nr_huge_pages);
	h.free = PA_GET(layout, bytes, hstate, free_huge_pages);
	h.resv = PA_GET(layout, bytes, hstate, resv_huge_pages);
	h.surplus = PA_GET(layout, bytes, hstate, surplus_huge_pages);
	h.active_list =
		address + PA_OFFSETOF(layout, hstate, hugepage_activelist);
	h.free_lists =
		address + PA_OFFSETOF(layout, hstate, hugepage_freelists);
	memcpy(h.name, bytes + name->offset,
	       pa_min(name->size, sizeof(h.name) - 1));
	pa_text_make_printable(h.name);
	h.nr_node = calloc(nr_nodes, 3 * sizeof(*h.nr_node));
	if (!h.nr_node)
		return &pa_error_no_memory;
	h.free_node = h.nr_node + nr_nodes;
	h.surplus_node = h.free_node + nr_nodes;
	load_counts(PA_M(layout, hstate, nr_huge_pages_node), bytes, nr_nodes,
		    h.nr_node);
	load_counts(PA_M(layout, hstate, free_huge_pages_node), bytes, nr_nodes,
		    h.free_node);
	load_counts(PA_M(layout, hstate, surplus_huge_pages_node), bytes,
		    nr_nodes, h.surplus_node);
	*ret = h;
	return NULL;
}

static struct pa_error *read_all(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 struct pa_hstates *hstates)
{
	pa_auto_free uint8_t *bytes = malloc(PA_SIZEOF(layout, hstate));
	uint32_t n = 0, lock = 0;
	struct pa_error *err;

	if (!bytes)
		return &pa_error_no_memory;
	err = pa_memory_read_u32(memory, PA_SYM(layout, hugetlb_max_hstate),
				 &n);
	if (!err && PA_HAS_SYM(layout, hugetlb_lock))
		err = pa_memory_read_u32(memory, PA_SYM(layout, hugetlb_lock),
					 &lock);
	if (!err && n > MAX_HSTATES)
		err = pa_error_at(PA_ERROR_CORRUPT,
				  PA_SYM(layout, hugetlb_max_hstate),
				  "hugetlb_max_hstate is %u", n);
	hstates->locked = lock;
	for (uint32_t i = 0; !err && i < n; i++) {
		struct pa_hstate hstate;

		err = read_hstate(memory, layout,
				  PA_SYM(layout, hstates) +
					  (uint64_t)i *
						  PA_SIZEOF(layout, hstate),
				  hstates->nr_nodes, bytes, &hstate);
		if (!err && !pa_array_append(&hstates->list, hstate)) {
			free(hstate.nr_node);
			err = &pa_error_no_memory;
		}
	}
	return err;
}

struct pa_error *pa_hstates_init(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 struct pa_hstates *ret)
{
	struct pa_hstates hstates = {
		.nr_nodes = PA_M(layout, hstate, hugepage_freelists)->length,
	};
	struct pa_error *err;

	if (!PA_HAS_SYM(layout, hstates) ||
	    !PA_HAS_SYM(layout, hugetlb_max_hstate)) {
		*ret = hstates;
		return NULL;
	}
	if (!is_usable(layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "struct hstate is not usable");
	hstates.known = true;
	err = read_all(memory, layout, &hstates);
	if (err) {
		pa_hstates_deinit(&hstates);
		return err;
	}
	*ret = hstates;
	return NULL;
}

void pa_hstates_deinit(struct pa_hstates *hstates)
{
	pa_array_for_each(hstate, &hstates->list)
		free(hstate->nr_node);
	pa_array_deinit(&hstates->list);
}

const struct pa_hstate *pa_hstate_find(const struct pa_hstates *hstates,
				       uint32_t order)
{
	for (size_t i = 0; i < hstates->list.length; i++)
		if (hstates->list.items[i].order == order)
			return &hstates->list.items[i];
	return NULL;
}
