/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hugetlb pools: struct hstate, include/linux/hugetlb.h, mm/hugetlb.c. */
#ifndef PA_KERNEL_HUGETLB_H
#define PA_KERNEL_HUGETLB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "kernel/memory.h"

/* One size of huge pages. Counts are in huge pages. */
struct pa_hstate {
	/* Virtual address of the struct hstate. */
	uint64_t address;
	/* "hugepages-2048kB" */
	char name[32];
	uint32_t order;
	/* max: the persistent pages that were asked for. */
	uint64_t max, nr, free, resv, surplus;
	/* By node id; nr_nodes of each. Owned: @nr_node is all three. */
	uint32_t *nr_node, *free_node, *surplus_node;
	/* Addresses of the list_heads. */
	uint64_t active_list, free_lists;
};

struct pa_hstates {
	/* The kernel has hugetlb. */
	bool known;
	PA_ARRAY(struct pa_hstate) list;
	/* MAX_NUMNODES */
	uint32_t nr_nodes;
	/* hugetlb_lock was held when the machine stopped. */
	bool locked;
};

struct pa_error *pa_hstates_init(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 struct pa_hstates *ret);
void pa_hstates_deinit(struct pa_hstates *hstates);

/* NULL if no pool has huge pages of @order. Borrowed. */
const struct pa_hstate *pa_hstate_find(const struct pa_hstates *hstates,
				       uint32_t order);

/* Address of hstate->hugepage_freelists[node]. */
static inline uint64_t pa_hstate_free_list(const struct pa_hstate *hstate,
					   uint32_t node)
{
	return hstate->free_lists + (uint64_t)node * 16;
}

#endif
