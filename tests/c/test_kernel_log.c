// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ring buffers of the kernel log: whole, wrapped, half written, hostile. */
#include "ring.h"

static struct pa_log read_log(struct ring *ring)
{
	struct pa_log log = { 0 };

	CHECK_OK(pa_log_read(ring->reader, &ring->layout, &log));
	return log;
}

static void test_empty(void)
{
	struct ring *ring = ring_create(4, 10);
	struct pa_log log = read_log(ring);

	CHECK(log.records.length == 0);
	CHECK(log.nr_lost == 0 && log.nr_unreadable == 0);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

static void test_plain(void)
{
	struct ring *ring = ring_create(4, 10);

	ring_add(ring, "first");
	ring_add_full(ring, 42, PA_LOG_CALLER_CPU | 3, 1, "two\nlines", 9);
	ring_add(ring, "");

	struct pa_log log = read_log(ring);

	CHECK_FATAL(log.records.length == 3);

	const struct pa_log_record *r = log.records.items;

	CHECK(text_is(&r[0], "first") && r[0].seq == 0 && r[0].facility == 0);
	CHECK(r[0].level == 4 && r[0].caller_id == 77);
	CHECK(text_is(&r[1], "two\nlines") && r[1].time_ns == 42);
	CHECK(r[1].facility == 1 && r[1].caller_id == 0x80000003);
	CHECK(text_is(&r[2], ""));
	pa_log_deinit(&log);
	ring_destroy(ring);
}

/* Many times round, with lengths that hit every way of wrapping. */
static void test_wraps(void)
{
	struct ring *ring = ring_create(3, 9);
	char text[64];

	for (int i = 0; i < 1000; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		ring_add_full(ring, i, 1, 0, text, i % 41);

		struct pa_log log = read_log(ring);
		size_t nr = log.records.length;

		/* Eight blocks of at most 48 bytes fit the 512. */
		CHECK_FATAL(nr == (i < 7 ? i + 1u : 8u));
		CHECK(log.nr_lost == 0 && log.nr_unreadable == 0);
		for (size_t n = 0; n < nr; n++) {
			const struct pa_log_record *r = &log.records.items[n];
			int k = (int)(i + 1 - nr + n);

			CHECK(r->seq == (uint64_t)k);
			CHECK(r->length == (uint32_t)k % 41);
			CHECK(!r->length ||
			      (r->text[0] == 'a' + k % 26 &&
			       r->text[r->length - 1] == 'a' + k % 26));
		}
		pa_log_deinit(&log);
	}
	ring_destroy(ring);
}

/* v7 lets a block end exactly where the ring does. */
static void test_ends_at_the_end(void)
{
	struct ring *ring = ring_create(4, 6);
	uint64_t id = ring_add(ring, "x");
	char text[56];

	memset(text, 'e', sizeof(text));
	ring_put64(ring, ring_desc(ring, id) + 8, -UINT64_C(64));
	ring_put64(ring, ring_desc(ring, id) + 16, 0);
	ring_put64(ring, RING_DATA, id);
	memcpy(ring->memory + RING_DATA + 8, text, 56);
	ring->seq = 0;
	ring_write_info(ring, id, 1, 1, 0, 56);

	struct pa_log log = read_log(ring);

	CHECK_FATAL(log.records.length == 1);
	CHECK(log.records.items[0].length == 56);
	CHECK(log.records.items[0].text[55] == 'e');
	pa_log_deinit(&log);
	ring_destroy(ring);
}

/* An id of 62 bits that wraps round to 0, as v7's does after 2^12 records. */
static void test_id_wraps(void)
{
	struct ring *ring = ring_create(4, 10);

	ring->id = RING_ID_MASK - 2;
	for (int i = 0; i < 20; i++)
		ring_add(ring, "text");

	struct pa_log log = read_log(ring);

	CHECK(log.records.length == 16);
	CHECK(log.records.items[0].seq == 4);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

static void test_states(void)
{
	struct ring *ring = ring_create(4, 10);
	uint64_t ids[6];

	for (int i = 0; i < 6; i++)
		ids[i] = ring_add(ring, "text");
	/* Reserved, committed, finalized, reusable; then another's slot. */
	for (uint64_t i = 0; i < 4; i++)
		ring_put64(ring, ring_desc(ring, ids[i]), i << 62 | ids[i]);
	ring_put64(ring, ring_desc(ring, ids[4]),
		   UINT64_C(2) << 62 | (ids[4] + 16));

	struct pa_log log = read_log(ring);

	CHECK_FATAL(log.records.length == 3);
	CHECK(log.records.items[0].seq == 1);
	CHECK(log.records.items[1].seq == 2);
	CHECK(log.records.items[2].seq == 5);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

static void test_no_data(void)
{
	struct ring *ring = ring_create(4, 10);
	uint64_t lost = ring_add(ring, "lost");
	uint64_t empty = ring_add(ring, "");
	uint64_t other = ring_add(ring, "overwritten");

	ring_put64(ring, ring_desc(ring, lost) + 8, 1);
	ring_put64(ring, ring_desc(ring, lost) + 16, 1);
	ring_put64(ring, ring_desc(ring, empty) + 8, 3);
	ring_put64(ring, ring_desc(ring, empty) + 16, 3);
	/* The block's own id is of a later record. */
	for (uint64_t at = RING_DATA; at < RING_DATA + 1024; at += 8)
		if (pa_load_u64(ring->memory + at) == other)
			ring_put64(ring, at, other + 16);

	struct pa_log log = read_log(ring);

	CHECK_FATAL(log.records.length == 1);
	CHECK(log.records.items[0].seq == 1);
	CHECK(log.records.items[0].length == 0);
	CHECK(log.nr_lost == 2);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

/* text_len above what the block has room for: as much as there is. */
static void test_length_beyond_block(void)
{
	struct ring *ring = ring_create(4, 10);
	uint64_t id = ring_add(ring, "12345678");

	memset(ring->memory + ring_info(ring, id) + 16, 0xff, 2);

	struct pa_log log = read_log(ring);

	CHECK_FATAL(log.records.length == 1);
	CHECK(text_is(&log.records.items[0], "12345678"));
	pa_log_deinit(&log);
	ring_destroy(ring);
}

static void test_bad_positions(void)
{
	static const uint64_t bad[][2] = {
		/* Not aligned; backwards; no room for the id. */
		{ 4, 24 },
		{ 512, 256 },
		{ 256, 256 },
		/* Only one of them says that there is no data. */
		{ 1, 64 },
		{ 64, 1 },
		/* Further than once round. */
		{ 0, 2048 + 64 },
		{ 0, UINT64_MAX & ~UINT64_C(7) },
		{ UINT64_MAX & ~UINT64_C(7), 1024 + 512 },
		/* Wrapped, but nothing is at the front. */
		{ 1016, 1024 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ring *ring = ring_create(4, 10);
		uint64_t id = ring_add(ring, "bad");

		ring_add(ring, "good");
		ring_put64(ring, ring_desc(ring, id) + 8, bad[i][0]);
		ring_put64(ring, ring_desc(ring, id) + 16, bad[i][1]);

		struct pa_log log = read_log(ring);

		CHECK(log.records.length == 1);
		CHECK(log.nr_unreadable + log.nr_lost == 1);
		pa_log_deinit(&log);
		ring_destroy(ring);
	}
}

/* A tail that lags behind by more than the ring has, and one ahead of head. */
static void test_tail_astray(void)
{
	struct ring *ring = ring_create(3, 10);
	struct pa_log log;

	for (int i = 0; i < 12; i++)
		ring_add(ring, "text");
	ring_write_header(ring, ring->id, ring->id - 1000000);
	log = read_log(ring);
	CHECK(log.records.length == 8);
	pa_log_deinit(&log);

	ring_write_header(ring, ring->id, ring->id + 1);
	log = read_log(ring);
	CHECK(log.records.length == 8);
	pa_log_deinit(&log);

	/* The state bits are no part of it. */
	ring_write_header(ring, ring->id | UINT64_C(3) << 62, ring->id - 2);
	log = read_log(ring);
	CHECK(log.records.length == 3);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

/* All descriptors name one large block: no more text than the ring holds. */
static void test_overlapping(void)
{
	struct ring *ring = ring_create(8, 10);
	char text[900] = { 0 };
	uint64_t first = ring_add_full(ring, 1, 1, 0, text, sizeof(text));

	/* Ids are checked: an attacker can make them all fit but not differ. */
	for (int i = 0; i < 200; i++) {
		uint64_t id = ring_add_full(ring, 1, 1, 0, "", 0);

		memcpy(ring->memory + ring_desc(ring, id) + 8,
		       ring->memory + ring_desc(ring, first) + 8, 16);
	}

	struct pa_log log = read_log(ring);

	CHECK(log.store.length <= 1024);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

static void test_absent(void)
{
	struct ring *ring = ring_create(8, 14);
	struct pa_log log;

	for (int i = 0; i < 200; i++)
		ring_add(ring, "some text of some length");

	/* A part of the descriptors, of the texts, and the header. */
	ring->absent = RING_DESCS;
	ring->absent_end = RING_DESCS + 100;
	log = read_log(ring);
	CHECK(log.records.length > 100 && log.records.length < 200);
	CHECK(log.records.length + log.nr_unreadable >= 200);
	pa_log_deinit(&log);

	ring->absent = RING_DATA + 320;
	ring->absent_end = RING_DATA + 640;
	log = read_log(ring);
	CHECK(log.records.length > 180 && log.records.length < 200);
	CHECK(log.records.length + log.nr_unreadable == 200);
	pa_log_deinit(&log);

	ring->absent = 0;
	ring->absent_end = 0x2000;
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_log_read(ring->reader, &ring->layout, &log));
	ring_destroy(ring);
}

static void test_hostile_headers(void)
{
	static const unsigned int bits[][2] = {
		{ 0, 10 }, { 64, 10 }, { 27, 10 },	   { 4, 2 },
		{ 4, 64 }, { 4, 32 },  { UINT32_MAX, 10 }, { 4, UINT32_MAX },
	};
	struct ring *ring = ring_create(4, 10);
	struct pa_log log;

	ring_add(ring, "text");
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		ring->count_bits = bits[i][0];
		ring->size_bits = bits[i][1];
		ring_write_header(ring, ring->id, ring->id);
		CHECK_ERROR(PA_ERROR_CORRUPT,
			    pa_log_read(ring->reader, &ring->layout, &log));
	}
	/* The largest ring there can be, of which nothing is in memory. */
	ring->count_bits = 26;
	ring->size_bits = 31;
	ring_write_header(ring, ring->id, ring->id + 1);
	ring_put64(ring, RING_PRB + 8, UINT64_MAX - 100);
	log = read_log(ring);
	CHECK(log.records.length == 0);
	CHECK(log.nr_unreadable == UINT64_C(1) << 22);
	pa_log_deinit(&log);
	ring_destroy(ring);
}

/* Types that contradict themselves, as a hostile dump's BTF may. */
static void test_hostile_types(void)
{
	struct ring *ring = ring_create(4, 10);
	struct pa_log log;

	ring_add(ring, "text");
	ring->layout.members[PA_MEMBER_printk_info__caller_id].offset = 86;
	ring->layout.members[PA_MEMBER_printk_info__level].offset = 1 << 30;
	log = read_log(ring);
	CHECK(log.records.length == 1);
	CHECK(log.records.items[0].caller_id == 0);
	pa_log_deinit(&log);

	ring->layout.members[PA_MEMBER_prb_desc__state_var].offset = 20;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_log_read(ring->reader, &ring->layout, &log));
	ring->layout.members[PA_MEMBER_prb_desc__state_var].offset = 0;
	ring->layout.types[PA_TYPE_printk_info].size = 1 << 30;
	CHECK_ERROR(PA_ERROR_UNSUPPORTED,
		    pa_log_read(ring->reader, &ring->layout, &log));
	ring->layout.symbols[PA_SYM_prb].known = false;
	CHECK_ERROR(PA_ERROR_MISSING,
		    pa_log_read(ring->reader, &ring->layout, &log));
	ring_destroy(ring);
}

/* Any bytes at all: no crash, no endless loop, nothing beyond the ring. */
static void test_garbage(void)
{
	uint64_t random = 88172645463325252;

	for (int round = 0; round < 300; round++) {
		struct ring *ring = ring_create(6, 10);
		struct pa_log log = { 0 };
		struct pa_error *err;

		for (int i = 0; i < 70; i++)
			ring_add(ring, "a text that is long enough to wrap");
		for (int i = 0; i < 1 << (round % 12); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;

			uint64_t spans[] = { 80, 64 * RING_DESC_BYTES,
					     64 * RING_INFO_BYTES, 1024 };
			uint64_t starts[] = { RING_PRB, RING_DESCS, RING_INFOS,
					      RING_DATA };
			unsigned int where = i ? 1 + random % 3 : random % 4;

			ring->memory[starts[where] +
				     (random >> 8) % spans[where]] =
				(uint8_t)(random >> 40);
		}
		err = pa_log_read(ring->reader, &ring->layout, &log);
		CHECK(err || log.store.length <= 1 << 10 ||
		      pa_load_u32(ring->memory + RING_PRB + 48) != 10);
		pa_error_destroy(err);
		pa_log_deinit(&log);
		ring_destroy(ring);
	}
}

int main(void)
{
	test_empty();
	test_plain();
	test_wraps();
	test_ends_at_the_end();
	test_id_wraps();
	test_states();
	test_no_data();
	test_length_beyond_block();
	test_bad_positions();
	test_tail_astray();
	test_overlapping();
	test_absent();
	test_hostile_headers();
	test_hostile_types();
	test_garbage();
	return CHECK_DONE();
}
