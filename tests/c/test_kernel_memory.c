// SPDX-License-Identifier: LGPL-2.1-or-later
/* pa_memory_read_near(): what it keeps, what it reads anew, what is not there. */
#include "bytes.h"
#include "kernel/memory.h"

static struct pa_memory_page near;

static uint64_t word_at(struct pa_memory *memory, uint64_t va)
{
	uint64_t word = 0;

	CHECK_OK(pa_memory_read_near(memory, &near, va, sizeof(word), &word));
	return word;
}

static void test_kept(struct pa_memory *memory)
{
	put(BASE, 1);
	put(BASE + 4088, 2);
	put(BASE + 4096, 3);
	CHECK(word_at(memory, BASE) == 1);
	/* Of the page that was read last nothing is read again, ... */
	put(BASE, 11);
	put(BASE + 4088, 12);
	CHECK(word_at(memory, BASE + 4088) == 2);
	CHECK(word_at(memory, BASE) == 1);
	/* ... unless another was read meanwhile. */
	CHECK(word_at(memory, BASE + 4096) == 3);
	CHECK(word_at(memory, BASE) == 11);
	CHECK(word_at(memory, BASE + 4088) == 12);
}

static void test_two_pages(struct pa_memory *memory)
{
	put(BASE + 8188, 0);
	CHECK(word_at(memory, BASE + 8184) == 0);
	put(BASE + 8188, UINT64_C(0x0123456789abcdef));
	CHECK(word_at(memory, BASE + 8188) == UINT64_C(0x0123456789abcdef));
}

static void test_absent(struct pa_memory *memory)
{
	uint64_t word;

	CHECK(word_at(memory, BASE) == 11);
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_memory_read_near(memory, &near, NOWHERE, 8, &word));
	/* Nothing of the page before it is left. */
	put(BASE, 21);
	CHECK(word_at(memory, BASE) == 21);
}

int main(void)
{
	struct pa_memory *memory = bytes_start();

	test_kept(memory);
	test_two_pages(memory);
	test_absent(memory);
	bytes_end(memory);
	return CHECK_DONE();
}
