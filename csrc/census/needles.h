/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Needles: the pages that a search looks for, from one to all there are. Bits
 * in a tree of three levels, so that asking costs three loads wherever the
 * pages lie, and each page of the set has a number.
 */
#ifndef PA_CENSUS_NEEDLES_H
#define PA_CENSUS_NEEDLES_H

#include "base/bits.h"
#include "base/error.h"

/* log2 of the pages of a leaf, of a branch, and of all memory there can be. */
#define PA_NEEDLES_LEAF_SHIFT 15
#define PA_NEEDLES_BRANCH_SHIFT 24
#define PA_NEEDLES_PFN_BITS 40

struct pa_needles_leaf {
	uint64_t bits[1 << (PA_NEEDLES_LEAF_SHIFT - 6)];
	/* Pages of the set below this leaf; in it, below each word. */
	uint32_t before;
	uint16_t ranks[1 << (PA_NEEDLES_LEAF_SHIFT - 6)];
};

struct pa_needles_branch {
	struct pa_needles_leaf
		*leaves[1 << (PA_NEEDLES_BRANCH_SHIFT - PA_NEEDLES_LEAF_SHIFT)];
};

struct pa_needles {
	/* By pfn >> PA_NEEDLES_BRANCH_SHIFT. */
	struct pa_needles_branch **branches;
	/* After pa_needles_settle(). */
	uint32_t nr;
	uint64_t first, last;
};

/* An empty set. */
struct pa_error *pa_needles_init(struct pa_needles *ret);
void pa_needles_deinit(struct pa_needles *needles);

/*
 * Adds [pfn, pfn + nr); what no page can be is left out. Then settle, once,
 * after which nothing is added any more.
 */
struct pa_error *pa_needles_add(struct pa_needles *needles, uint64_t pfn,
				uint64_t nr);
struct pa_error *pa_needles_settle(struct pa_needles *needles);

/* Whether @pfn is in the set, and its number: by rising pfn from 0 on. */
static inline bool pa_needles_find(const struct pa_needles *needles,
				   uint64_t pfn, uint32_t *ret)
{
	const uint64_t nr_leaves =
		PA_BIT(PA_NEEDLES_BRANCH_SHIFT - PA_NEEDLES_LEAF_SHIFT);
	const struct pa_needles_branch *branch;
	const struct pa_needles_leaf *leaf;

	if (pfn >> PA_NEEDLES_PFN_BITS)
		return false;
	branch = needles->branches[pfn >> PA_NEEDLES_BRANCH_SHIFT];
	leaf = branch ? branch->leaves[pfn >> PA_NEEDLES_LEAF_SHIFT &
				       (nr_leaves - 1)] :
			NULL;
	if (!leaf)
		return false;

	uint64_t inside = pfn & PA_MASK(PA_NEEDLES_LEAF_SHIFT);
	uint64_t word = leaf->bits[inside / 64];
	unsigned int bit = inside % 64;

	if (!(word >> bit & 1))
		return false;
	*ret = leaf->before + leaf->ranks[inside / 64] +
	       (uint32_t)__builtin_popcountll(word & PA_MASK(bit));
	return true;
}

#endif
