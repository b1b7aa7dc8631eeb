/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The functions of the rows of pa_holders, each in the file of its name. */
#ifndef PA_CENSUS_HOLDERS_H
#define PA_CENSUS_HOLDERS_H

#include "census/holder.h"

/*
 * prepare, item and destroy of one row. See struct pa_holder_row; a row that
 * needs no preparation has item only.
 */
#define PA_HOLDER_FUNCTIONS(name)                                         \
	struct pa_error *pa_##name##_prepare(struct pa_holder_walk *walk, \
					     void **state_ret,            \
					     uint64_t *nr_ret);           \
	struct pa_error *pa_##name##_item(struct pa_holder_walk *walk,    \
					  uint64_t index);                \
	void pa_##name##_destroy(void *state)

/* Of a row whose state is the census's. */
#define PA_HOLDER_STATELESS_FUNCTIONS(name)                               \
	struct pa_error *pa_##name##_prepare(struct pa_holder_walk *walk, \
					     void **state_ret,            \
					     uint64_t *nr_ret);           \
	struct pa_error *pa_##name##_item(struct pa_holder_walk *walk,    \
					  uint64_t index)

PA_HOLDER_STATELESS_FUNCTIONS(page_cache);
PA_HOLDER_STATELESS_FUNCTIONS(isolated);
PA_HOLDER_FUNCTIONS(swap_cache);
PA_HOLDER_FUNCTIONS(lru_batch);
PA_HOLDER_FUNCTIONS(mmu_gather);
PA_HOLDER_FUNCTIONS(deferred_split);
PA_HOLDER_FUNCTIONS(readahead);
struct pa_error *pa_mlock_batch_item(struct pa_holder_walk *walk,
				     uint64_t index);
PA_HOLDER_FUNCTIONS(page_table);
PA_HOLDER_FUNCTIONS(pipe);
PA_HOLDER_FUNCTIONS(io_uring);
PA_HOLDER_FUNCTIONS(aio);
PA_HOLDER_FUNCTIONS(skb);
PA_HOLDER_FUNCTIONS(bio);
struct pa_error *pa_page_frag_item(struct pa_holder_walk *walk, uint64_t index);
PA_HOLDER_FUNCTIONS(vmalloc);

#endif
