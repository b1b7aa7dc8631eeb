// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/needles.h"

#include <stdlib.h>

#define NR_BRANCHES PA_BIT(PA_NEEDLES_PFN_BITS - PA_NEEDLES_BRANCH_SHIFT)
#define NR_LEAVES PA_BIT(PA_NEEDLES_BRANCH_SHIFT - PA_NEEDLES_LEAF_SHIFT)
#define LEAF_PAGES PA_BIT(PA_NEEDLES_LEAF_SHIFT)

struct pa_error *pa_needles_init(struct pa_needles *ret)
{
	struct pa_needles needles = {
		.branches = calloc(NR_BRANCHES, sizeof(*needles.branches)),
		.first = UINT64_MAX,
	};

	if (!needles.branches)
		return &pa_error_no_memory;
	*ret = needles;
	return NULL;
}

void pa_needles_deinit(struct pa_needles *needles)
{
	for (uint64_t i = 0; needles->branches && i < NR_BRANCHES; i++) {
		struct pa_needles_branch *branch = needles->branches[i];

		for (uint64_t j = 0; branch && j < NR_LEAVES; j++)
			free(branch->leaves[j]);
		free(branch);
	}
	free(needles->branches);
	needles->branches = NULL;
}

/* The leaf of @pfn, made if there is none yet; NULL if out of memory. */
static struct pa_needles_leaf *make_leaf(struct pa_needles *needles,
					 uint64_t pfn)
{
	struct pa_needles_branch **branch =
		&needles->branches[pfn >> PA_NEEDLES_BRANCH_SHIFT];

	if (!*branch)
		*branch = calloc(1, sizeof(**branch));
	if (!*branch)
		return NULL;

	struct pa_needles_leaf **leaf =
		&(*branch)->leaves[pfn >> PA_NEEDLES_LEAF_SHIFT &
				   (NR_LEAVES - 1)];

	if (!*leaf)
		*leaf = calloc(1, sizeof(**leaf));
	return *leaf;
}

struct pa_error *pa_needles_add(struct pa_needles *needles, uint64_t pfn,
				uint64_t nr)
{
	const uint64_t limit = PA_BIT(PA_NEEDLES_PFN_BITS);

	if (!nr || pfn >= limit)
		return NULL;

	uint64_t end = pfn + pa_min(nr, limit - pfn);

	needles->first = pa_min(needles->first, pfn);
	needles->last = pa_max(needles->last, end - 1);
	while (pfn < end) {
		struct pa_needles_leaf *leaf = make_leaf(needles, pfn);
		uint64_t stop = pa_min(end, (pfn | (LEAF_PAGES - 1)) + 1);

		if (!leaf)
			return &pa_error_no_memory;
		for (; pfn < stop; pfn++)
			pa_set_bit(leaf->bits, pfn & (LEAF_PAGES - 1));
	}
	return NULL;
}

struct pa_error *pa_needles_settle(struct pa_needles *needles)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < NR_BRANCHES; i++) {
		struct pa_needles_branch *branch = needles->branches[i];

		for (uint64_t j = 0; branch && j < NR_LEAVES; j++) {
			struct pa_needles_leaf *leaf = branch->leaves[j];
			uint64_t inside = 0;

			if (!leaf)
				continue;
			leaf->before = (uint32_t)nr;
			for (uint64_t k = 0; k < LEAF_PAGES / 64; k++) {
				leaf->ranks[k] = (uint16_t)inside;
				inside += (uint64_t)__builtin_popcountll(
					leaf->bits[k]);
			}
			nr += inside;
		}
	}
	if (nr > UINT32_MAX)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "more pages to look for than 2^32");
	needles->nr = (uint32_t)nr;
	return NULL;
}
