// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fragments of socket buffers are read only where their types fit together. */
#include "bytes.h"
#include "kernel/skb.h"

static void make_layout(uint32_t page)
{
	memset(&layout, 0, sizeof(layout));
	TYPE(sk_buff, 232);
	MEMBER(sk_buff, head, 0, 8);
	MEMBER(sk_buff, end, 8, 4);
	MEMBER(sk_buff, fclone, 12, 1);
	MEMBER(sk_buff, head_frag, 13, 1);
	TYPE(skb_shared_info, 320);
	MEMBER(skb_shared_info, nr_frags, 2, 1);
	MEMBER(skb_shared_info, dataref, 32, 4);
	MEMBER(skb_shared_info, frags, 48, 17 * 16);
	layout.members[PA_MEMBER_skb_shared_info__frags].length = 17;
	layout.members[PA_MEMBER_skb_shared_info__frags].element_size = 16;
	MEMBER(skb_frag, netmem, page, 8);
}

static void test_fragments(void)
{
	struct pa_memory *memory = bytes_start();
	struct pa_skb_shared shared;

	make_layout(8);
	put_bytes(BASE + 2, 2, 1);
	put_bytes(BASE + 32, 1, 4);
	put(BASE + 48 + 8, page_at(5));
	put(BASE + 48 + 16 + 8, page_at(6));
	CHECK_OK(pa_skb_shared_read(memory, &layout, BASE, &shared));
	CHECK(shared.nr_frags == 2 && shared.users == 1);
	CHECK(shared.pages[0] == page_at(5) && shared.pages[1] == page_at(6));
	CHECK(shared.slots[1] == BASE + 48 + 16 + 8);
	bytes_end(memory);
}

int main(void)
{
	test_fragments();
	make_layout(0);
	CHECK(pa_skb_knows(&layout));
	make_layout(8);
	CHECK(pa_skb_knows(&layout));
	make_layout(9);
	CHECK(!pa_skb_knows(&layout));
	make_layout(UINT32_MAX - 3);
	CHECK(!pa_skb_knows(&layout));
	return CHECK_DONE();
}
