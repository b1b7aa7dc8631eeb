// SPDX-License-Identifier: LGPL-2.1-or-later
/* Large folios' maps by mm (v6.15), counted from page tables. */
#include "tables.h"

static void test_mm_ids(void)
{
	struct run run;

	make_machine();
	MEMBER(mm_struct, mm_id, MM_ID, 4);
	MEMBER(folio, _mm_id, PAGE_MM_IDS, 8);
	MEMBER(folio, _mm_id_mapcount, 96, 8);
	layout.members[PA_MEMBER_folio___mm_id_mapcount].element_size = 4;
	kernel.page_format.order = 64;
	kernel.page_format.flag.head = PA_BIT(6);
	for (unsigned int i = 0; i < 16; i++) {
		if (i % 8)
			classes[1024 + i] = PA_CLASS_TAIL;
		else {
			put_page(1024 + i, 0, PA_BIT(6));
			put_page(1024 + i + 1, 0, 3);
		}
	}
	/* Free slots, and one of B; a flag in each. */
	put_page(1024, 96, ~UINT64_C(0));
	put_page(1032, 96, UINT64_C(0xffffffff00000001));
	put_page(1032, PAGE_MM_IDS, UINT64_C(0x8000000080000009));
	put(MM_A, MM_ID, 7);
	put(MM_B, MM_ID, 9);
	for (unsigned int i = 0; i < 16; i++)
		set_entry(PTE_A, i, entry(1024 + i, P | USER));
	set_entry(PTE_B, 4, entry(1033, P | USER));
	set_entry(PTE_B, 5, entry(1032, P | USER));
	run_init(&run, NULL);

	const struct pa_mm_ids *ids = &run.census->page_tables->mm_ids;

	CHECK_FATAL(ids->list.length == 2);
	CHECK(ids->list.items[0].pfn == 1024 && ids->list.items[0].order == 3);
	CHECK(ids->list.items[0].others == 8);
	CHECK(!ids->list.items[0].shared && !ids->list.items[0].locked);
	CHECK(!ids->list.items[0].stored[0] && !ids->list.items[0].stored[1]);
	CHECK(ids->list.items[1].id[0] == 9 && !ids->list.items[1].id[1]);
	CHECK(ids->list.items[1].stored[0] == 2);
	CHECK(ids->list.items[1].shared && ids->list.items[1].locked);
	CHECK(ids->list.items[1].counted[0] == 2);
	CHECK(ids->list.items[1].counted[1] == 0);
	CHECK(ids->list.items[1].others == 8);
	CHECK(pa_mm_ids_find(&kernel, ids, 1039) == &ids->list.items[1]);
	CHECK(!pa_mm_ids_find(&kernel, ids, 1040));
	CHECK(!pa_mm_ids_find(&kernel, ids, 1023));
	run_deinit(&run);
}

int main(void)
{
	struct pa_source *source = start_kernel();

	test_mm_ids();
	pa_source_destroy(source);
	return CHECK_DONE();
}
