/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket buffers: struct sk_buff and the data that they share. */
#ifndef PA_KERNEL_SKB_H
#define PA_KERNEL_SKB_H

#include "kernel/memory.h"

/* MAX_SKB_FRAGS is 17 unless configured, up to 45. */
#define PA_MAX_SKB_FRAGS 64

/* A struct sk_buff. */
struct pa_skb {
	uint64_t address;
	/* Of the memory that holds the headers, and at its end the rest. */
	uint64_t head, shared;
	/* SKB_FCLONE_* */
	uint64_t fclone;
	/* @head is a page fragment, else kmalloc()'s. */
	bool head_frag;
	/* Pages of a page pool go back there. */
	bool pp_recycle;
};

/* The struct skb_shared_info of a head, which clones have in common. */
struct pa_skb_shared {
	uint32_t nr_frags;
	/* Those who use it (without those who use the payload alone). */
	uint32_t users;
	/* SKBFL_MANAGED_FRAG_REFS: the fragments' pages are another's. */
	bool managed;
	/* By fragment: where it is, and the first word of it. */
	uint64_t slots[PA_MAX_SKB_FRAGS];
	uint64_t pages[PA_MAX_SKB_FRAGS];
};

/* Whether the kernel has what the functions below need. */
bool pa_skb_knows(const struct pa_layout *layout);

/* PA_ERROR_CORRUPT if what is at @address can't be one. */
struct pa_error *pa_skb_read(struct pa_memory *memory,
			     const struct pa_layout *layout, uint64_t address,
			     struct pa_skb *ret);

/* The same of the skb_shared_info at @address. */
struct pa_error *pa_skb_shared_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t address,
				    struct pa_skb_shared *ret);

#endif
