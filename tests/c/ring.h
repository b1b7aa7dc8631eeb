/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A printk ring buffer in a little memory of its own, written as the kernel
 * writes it, and everything that reading it needs.
 */
#ifndef PA_TESTS_RING_H
#define PA_TESTS_RING_H

#include <elf.h>
#include <string.h>

#include "check.h"
#include "kernel/kernel.h"
#include "kernel/log.h"

#define RING_MEMORY_BYTES (1 << 20)
#define RING_DIRECT UINT64_C(0xffff888000000000)
#define RING_VMEMMAP UINT64_C(0xffffea0000000000)

/* Offsets of v6.1 and v6.12; info as in v7 if asked for. */
#define RING_PRB 0x1000
#define RING_DESCS 0x2000
#define RING_INFOS 0x20000
#define RING_DATA 0x40000
#define RING_DESC_BYTES 24
#define RING_INFO_BYTES 88

#define RING_ID_MASK PA_MASK(62)

struct ring {
	uint8_t memory[RING_MEMORY_BYTES];
	/* Not in the dump: [absent, absent_end). */
	uint64_t absent, absent_end;
	unsigned int count_bits, size_bits;
	uint64_t id, seq, lpos;
	struct pa_layout layout;
	struct pa_kernel kernel;
	struct pa_memory *reader;
};

static inline void ring_put64(struct ring *ring, uint64_t at, uint64_t value)
{
	memcpy(ring->memory + at, &value, sizeof(value));
}

static inline void ring_put32(struct ring *ring, uint64_t at, uint32_t value)
{
	memcpy(ring->memory + at, &value, sizeof(value));
}

static struct pa_error *ring_read_phys(void *arg, uint64_t phys,
				       uint64_t length, uint8_t *buffer,
				       enum pa_presence *presence)
{
	struct ring *ring = arg;

	if (phys >= RING_MEMORY_BYTES || length > RING_MEMORY_BYTES - phys ||
	    (phys < ring->absent_end && phys + length > ring->absent)) {
		*presence = PA_UNREADABLE;
		return NULL;
	}
	memcpy(buffer, ring->memory + phys, length);
	*presence = PA_PRESENT;
	return NULL;
}

static inline void ring_member(struct pa_layout *layout, int type, int member,
			       uint32_t offset, uint32_t size)
{
	layout->types[type].known = true;
	layout->members[member].known = true;
	layout->members[member].offset = offset;
	layout->members[member].size = size;
	layout->members[member].element_size = size;
}

#define RING_MEMBER(ring, type, member, offset, size) \
	ring_member(&(ring)->layout, PA_TYPE_##type,  \
		    PA_MEMBER_##type##__##member, offset, size)

static inline void ring_layout(struct ring *ring)
{
	struct pa_layout *layout = &ring->layout;
	struct pa_member *level =
		&layout->members[PA_MEMBER_printk_info__level];

	layout->symbols[PA_SYM_prb].known = true;
	layout->symbols[PA_SYM_prb].address = RING_DIRECT + 0x800;
	RING_MEMBER(ring, printk_ringbuffer, desc_ring, 0, 48);
	RING_MEMBER(ring, printk_ringbuffer, text_data_ring, 48, 32);
	RING_MEMBER(ring, prb_desc_ring, count_bits, 0, 4);
	RING_MEMBER(ring, prb_desc_ring, descs, 8, 8);
	RING_MEMBER(ring, prb_desc_ring, infos, 16, 8);
	RING_MEMBER(ring, prb_desc_ring, head_id, 24, 8);
	RING_MEMBER(ring, prb_desc_ring, tail_id, 32, 8);
	RING_MEMBER(ring, prb_desc, state_var, 0, 8);
	RING_MEMBER(ring, prb_desc, text_blk_lpos__begin, 8, 8);
	RING_MEMBER(ring, prb_desc, text_blk_lpos__next, 16, 8);
	layout->types[PA_TYPE_prb_desc].size = RING_DESC_BYTES;
	RING_MEMBER(ring, prb_data_ring, size_bits, 0, 4);
	RING_MEMBER(ring, prb_data_ring, data, 8, 8);
	RING_MEMBER(ring, printk_info, seq, 0, 8);
	RING_MEMBER(ring, printk_info, ts_nsec, 8, 8);
	RING_MEMBER(ring, printk_info, text_len, 16, 2);
	RING_MEMBER(ring, printk_info, facility, 18, 1);
	RING_MEMBER(ring, printk_info, level, 19, 1);
	level->bit_size = 3;
	level->bit_offset = 5;
	RING_MEMBER(ring, printk_info, caller_id, 20, 4);
	layout->types[PA_TYPE_printk_info].size = RING_INFO_BYTES;
}

/* The header, as it is in memory now. */
static inline void ring_write_header(struct ring *ring, uint64_t head,
				     uint64_t tail)
{
	ring_put64(ring, 0x800, RING_DIRECT + RING_PRB);
	ring_put32(ring, RING_PRB, ring->count_bits);
	ring_put64(ring, RING_PRB + 8, RING_DIRECT + RING_DESCS);
	ring_put64(ring, RING_PRB + 16, RING_DIRECT + RING_INFOS);
	ring_put64(ring, RING_PRB + 24, head);
	ring_put64(ring, RING_PRB + 32, tail);
	ring_put32(ring, RING_PRB + 48, ring->size_bits);
	ring_put64(ring, RING_PRB + 56, RING_DIRECT + RING_DATA);
}

/* Owned by the caller: ring_destroy(). As a kernel has it that just booted. */
static inline struct ring *ring_create(unsigned int count_bits,
				       unsigned int size_bits)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	CHECK_FATAL(ring);
	ring->count_bits = count_bits;
	ring->size_bits = size_bits;
	/* DESC0_ID() and BLK0_LPOS(): both wrap soon. */
	ring->id = UINT64_C(0xffffefff);
	ring->lpos = -(UINT64_C(1) << size_bits);
	ring_layout(ring);
	ring->kernel.layout = &ring->layout;
	ring->kernel.arch = &pa_arch_x86_64;
	ring->kernel.space = (struct pa_address_space){
		.page_shift = 12,
		.section_size_bits = 27,
		.max_physmem_bits = 46,
		.direct_start = RING_DIRECT,
		.direct_end = RING_DIRECT + RING_MEMORY_BYTES,
		.vmemmap_start = RING_VMEMMAP,
		.root_phys = RING_MEMORY_BYTES,
		.levels = 4,
		.entry_phys_mask = PA_MASK(52) & ~PA_MASK(12),
	};
	ring->kernel.page_format.size = 64;
	ring->kernel.page_format.lru = 8;
	ring->kernel.sections.pages_shift = 15;
	ring->kernel.sections.pages = 1 << 15;
	CHECK_OK(pa_source_callback(ring_read_phys, ring, NULL, false,
				    EM_X86_64, &ring->kernel.source));
	CHECK_OK(pa_kernel_memory(&ring->kernel, &ring->reader));
	ring_write_header(ring, ring->id, ring->id);
	/* The first slot of a young log is reusable. */
	ring_put64(ring,
		   RING_DESCS +
			   (ring->id & PA_MASK(count_bits)) * RING_DESC_BYTES,
		   UINT64_C(3) << 62 | ring->id);
	return ring;
}

static inline void ring_destroy(struct ring *ring)
{
	pa_memory_destroy(ring->reader);
	pa_source_destroy(ring->kernel.source);
	free(ring);
}

static inline uint64_t ring_desc(const struct ring *ring, uint64_t id)
{
	return RING_DESCS + (id & PA_MASK(ring->count_bits)) * RING_DESC_BYTES;
}

static inline uint64_t ring_info(const struct ring *ring, uint64_t id)
{
	return RING_INFOS + (id & PA_MASK(ring->count_bits)) * RING_INFO_BYTES;
}

static inline void ring_write_info(struct ring *ring, uint64_t id,
				   uint64_t time_ns, uint32_t caller,
				   uint8_t facility, size_t length)
{
	uint8_t *info = ring->memory + ring_info(ring, id);
	uint16_t text_len = (uint16_t)length;

	memset(info, 0, RING_INFO_BYTES);
	memcpy(info, &ring->seq, 8);
	memcpy(info + 8, &time_ns, 8);
	memcpy(info + 16, &text_len, 2);
	info[18] = facility;
	/* Flags 0x1f and level 4. */
	info[19] = 4 << 5 | 0x1f;
	memcpy(info + 20, &caller, 4);
	ring->seq++;
}

/* One finalized record, as prb_reserve() and prb_final_commit() leave it. */
static inline uint64_t ring_add_full(struct ring *ring, uint64_t time_ns,
				     uint32_t caller, uint8_t facility,
				     const char *text, size_t length)
{
	uint64_t size = UINT64_C(1) << ring->size_bits;
	uint64_t block = (length + 8 + 7) & ~UINT64_C(7);
	uint64_t begin = ring->lpos, next = begin + block, at = begin;
	uint64_t id = (ring->id + 1) & RING_ID_MASK;

	if (begin >> ring->size_bits != next >> ring->size_bits) {
		/* data_alloc(): a block that would wrap starts at 0. */
		next = (next & ~(size - 1)) + block;
		at = 0;
	}
	ring_put64(ring, RING_DATA + (at & (size - 1)), id);
	memcpy(ring->memory + RING_DATA + (at & (size - 1)) + 8, text, length);
	ring_put64(ring, ring_desc(ring, id), UINT64_C(2) << 62 | id);
	ring_put64(ring, ring_desc(ring, id) + 8, begin);
	ring_put64(ring, ring_desc(ring, id) + 16, next);
	ring_write_info(ring, id, time_ns, caller, facility, length);
	ring->lpos = next;
	ring->id = id;

	uint64_t count = UINT64_C(1) << ring->count_bits;
	uint64_t tail = ring->seq < count ? UINT64_C(0xffffefff) :
					    (id - count + 1) & RING_ID_MASK;

	ring_write_header(ring, id, tail);
	return id;
}

static inline uint64_t ring_add(struct ring *ring, const char *text)
{
	return ring_add_full(ring, UINT64_C(1000000000) + ring->seq * 1000, 77,
			     0, text, strlen(text));
}

static inline bool text_is(const struct pa_log_record *record, const char *text)
{
	return record->length == strlen(text) &&
	       memcmp(record->text, text, record->length) == 0;
}

#endif
