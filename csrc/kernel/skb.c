// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/skb.h"

#include <inttypes.h>

#define MAX_SKB_BYTES 1024
#define MAX_SHARED_BYTES 2048
/* kvmalloc() of netlink's messages is the largest. */
#define MAX_HEAD_BYTES (UINT32_C(64) << 20)
/* SKB_DATAREF_SHIFT: users of the payload alone are counted above. */
#define USERS_MASK 0xffff
/* NET_IOV: a fragment of a device's memory, that has no struct page. */
#define NOT_A_PAGE 1

/* Fragments were a struct bio_vec before they could be other memory. */
static const struct pa_member *page_of_frag(const struct pa_layout *layout)
{
	return PA_HAS(layout, skb_frag, netmem) ?
		       PA_M(layout, skb_frag, netmem) :
		       PA_M(layout, bio_vec, bv_page);
}

bool pa_skb_knows(const struct pa_layout *layout)
{
	const struct pa_member *frags = PA_M(layout, skb_shared_info, frags);
	const struct pa_member *page = page_of_frag(layout);

	return PA_HAS(layout, sk_buff, head) && PA_HAS(layout, sk_buff, end) &&
	       PA_HAS(layout, sk_buff, fclone) &&
	       PA_HAS(layout, sk_buff, head_frag) &&
	       PA_HAS(layout, skb_shared_info, nr_frags) &&
	       PA_HAS(layout, skb_shared_info, dataref) && frags->known &&
	       frags->length && frags->length <= PA_MAX_SKB_FRAGS &&
	       page->known &&
	       (uint64_t)page->offset + 8 <= frags->element_size &&
	       PA_SIZEOF(layout, sk_buff) <= MAX_SKB_BYTES &&
	       PA_SIZEOF(layout, skb_shared_info) <= MAX_SHARED_BYTES &&
	       frags->offset + frags->size <=
		       PA_SIZEOF(layout, skb_shared_info);
}

struct pa_error *pa_skb_read(struct pa_memory *memory,
			     const struct pa_layout *layout, uint64_t address,
			     struct pa_skb *ret)
{
	uint8_t bytes[MAX_SKB_BYTES];
	struct pa_error *err = pa_memory_read(
		memory, address, PA_SIZEOF(layout, sk_buff), bytes);

	if (err)
		return err;

	uint64_t head = PA_GET(layout, bytes, sk_buff, head);
	uint64_t end = PA_GET(layout, bytes, sk_buff, end);

	if (!pa_is_kernel_address(head) || end > MAX_HEAD_BYTES ||
	    head + end < head)
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "no sk_buff at 0x%" PRIx64, address);
	*ret = (struct pa_skb){
		.address = address,
		.head = head,
		.shared = head + end,
		.fclone = pa_load_member(bytes, PA_M(layout, sk_buff, fclone)),
		.head_frag =
			pa_load_member(bytes, PA_M(layout, sk_buff, head_frag)),
		.pp_recycle = PA_HAS(layout, sk_buff, pp_recycle) &&
			      pa_load_member(bytes,
					     PA_M(layout, sk_buff, pp_recycle)),
	};
	return NULL;
}

struct pa_error *pa_skb_shared_read(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t address, struct pa_skb_shared *ret)
{
	const struct pa_member *frags = PA_M(layout, skb_shared_info, frags);
	uint32_t page = page_of_frag(layout)->offset;
	uint8_t bytes[MAX_SHARED_BYTES];
	struct pa_error *err = pa_memory_read(
		memory, address, PA_SIZEOF(layout, skb_shared_info), bytes);

	if (err)
		return err;

	uint64_t nr = PA_GET(layout, bytes, skb_shared_info, nr_frags);
	uint64_t users = PA_GET(layout, bytes, skb_shared_info, dataref) &
			 USERS_MASK;

	if (nr > frags->length || !users)
		return pa_error_at(PA_ERROR_CORRUPT, address,
				   "no skb_shared_info at 0x%" PRIx64, address);
	ret->nr_frags = (uint32_t)nr;
	ret->users = (uint32_t)users;
	ret->managed =
		PA_HAS_ENUM(layout, SKBFL_MANAGED_FRAG_REFS) &&
		PA_HAS(layout, skb_shared_info, flags) &&
		PA_GET(layout, bytes, skb_shared_info, flags) &
			(uint64_t)PA_ENUM(layout, SKBFL_MANAGED_FRAG_REFS);
	for (uint32_t i = 0; i < ret->nr_frags; i++) {
		uint32_t at = frags->offset + i * frags->element_size + page;
		uint64_t word = pa_load_u64(bytes + at);

		ret->slots[i] = address + at;
		ret->pages[i] = word & NOT_A_PAGE ? 0 : word;
	}
	return NULL;
}
