// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/log.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"

/*
 * Bounds of what a ring can be: log_buf_len= takes up to 2 GiB
 * (LOG_BUF_LEN_MAX), and there is one descriptor for each 32 bytes.
 */
#define MAX_DATA_SIZE_BITS 31
#define MAX_DESC_COUNT_BITS 26
/* What we keep of one: the newest records, and so much text. */
#define MAX_RECORDS PA_BIT(22)
#define MAX_STORE_BYTES PA_BIT(28)
/* text_len is 16 bits wide. */
#define MAX_TEXT_BYTES UINT32_C(65535)
/* printk_info was 88 bytes in v5.10 and is 112 in v7. */
#define MAX_INFO_BYTES 1024
/* Descriptors read at a time. */
#define CHUNK 64

/* state_var: the state in the two top bits, the id in the others. */
#define ID_BITS 62
#define ID_MASK PA_MASK(ID_BITS)
enum desc_state {
	DESC_RESERVED,
	DESC_COMMITTED,
	DESC_FINALIZED,
	DESC_REUSABLE,
};

/* Bit 0 of a logical position: there is no data; 3 is an empty line. */
#define LPOS_NO_DATA 1
#define LPOS_EMPTY_LINE 3

struct ring {
	uint64_t descs, infos, data;
	uint64_t head_id, tail_id;
	unsigned int count_bits, size_bits;
	uint64_t desc_bytes, info_bytes;
};

struct desc {
	uint64_t state_var, begin, next;
};

/* The member is known and lies in the @size bytes that are read of its type. */
static bool fits(const struct pa_member *member, const struct pa_type *type)
{
	return member->known && type->known && member->offset <= type->size &&
	       member->size <= type->size - member->offset && member->size;
}

#define FITS(layout, type, member) \
	fits(PA_M(layout, type, member), &(layout)->types[PA_TYPE_##type])

static bool layout_has_log(const struct pa_layout *layout)
{
	return PA_HAS_SYM(layout, prb) &&
	       PA_HAS(layout, printk_ringbuffer, desc_ring) &&
	       PA_HAS(layout, printk_ringbuffer, text_data_ring) &&
	       PA_HAS(layout, prb_desc_ring, count_bits) &&
	       PA_HAS(layout, prb_desc_ring, descs) &&
	       PA_HAS(layout, prb_desc_ring, infos) &&
	       PA_HAS(layout, prb_desc_ring, head_id) &&
	       PA_HAS(layout, prb_desc_ring, tail_id) &&
	       FITS(layout, prb_desc, state_var) &&
	       FITS(layout, prb_desc, text_blk_lpos__begin) &&
	       FITS(layout, prb_desc, text_blk_lpos__next) &&
	       PA_HAS(layout, prb_data_ring, size_bits) &&
	       PA_HAS(layout, prb_data_ring, data) &&
	       FITS(layout, printk_info, seq) &&
	       FITS(layout, printk_info, ts_nsec) &&
	       FITS(layout, printk_info, text_len);
}

static struct pa_error *ring_read(struct pa_memory *memory,
				  const struct pa_layout *layout,
				  struct ring *ret)
{
	struct ring ring = { .desc_bytes = PA_SIZEOF(layout, prb_desc),
			     .info_bytes = PA_SIZEOF(layout, printk_info) };
	uint64_t prb, descs, text;
	uint32_t count_bits, size_bits;
	struct pa_error *err;

	err = pa_memory_read_u64(memory, PA_SYM(layout, prb), &prb);
	if (err)
		return err;
	descs = prb + PA_OFFSETOF(layout, printk_ringbuffer, desc_ring);
	text = prb + PA_OFFSETOF(layout, printk_ringbuffer, text_data_ring);
#define READ(bits, base, type, member, to)                                 \
	(err ? err :                                                       \
	       pa_memory_read_u##bits(                                     \
		       memory, (base) + PA_OFFSETOF(layout, type, member), \
		       to))
	err = READ(32, descs, prb_desc_ring, count_bits, &count_bits);
	err = READ(64, descs, prb_desc_ring, descs, &ring.descs);
	err = READ(64, descs, prb_desc_ring, infos, &ring.infos);
	err = READ(64, descs, prb_desc_ring, head_id, &ring.head_id);
	err = READ(64, descs, prb_desc_ring, tail_id, &ring.tail_id);
	err = READ(32, text, prb_data_ring, size_bits, &size_bits);
	err = READ(64, text, prb_data_ring, data, &ring.data);
#undef READ
	if (err)
		return err;
	if (!count_bits || count_bits > MAX_DESC_COUNT_BITS || size_bits < 3 ||
	    size_bits > MAX_DATA_SIZE_BITS)
		return pa_error_at(PA_ERROR_CORRUPT, prb,
				   "the printk ring buffer at 0x%" PRIx64
				   " says that it has 2^%" PRIu32
				   " descriptors and 2^%" PRIu32
				   " bytes of text",
				   prb, count_bits, size_bits);
	if (ring.desc_bytes < 24 || ring.desc_bytes > MAX_INFO_BYTES ||
	    ring.info_bytes > MAX_INFO_BYTES)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "sizes of the printk ring buffer's "
				       "types that no kernel has");
	ring.count_bits = count_bits;
	ring.size_bits = size_bits;
	ring.head_id &= ID_MASK;
	ring.tail_id &= ID_MASK;
	*ret = ring;
	return NULL;
}

/* Where a block's text lies and how many bytes it has room for. */
static bool block_find(const struct ring *ring, const struct desc *desc,
		       uint64_t *address_ret, uint64_t *room_ret)
{
	uint64_t mask = PA_MASK(ring->size_bits);
	uint64_t begin = desc->begin & mask;
	uint64_t end = desc->next & mask;

	if ((desc->begin | desc->next) & 7)
		return false;
	/*
	 * How often the ring wrapped round in between, modulo 2^64: positions
	 * start just below 0. next - 1: a block may end where the ring does.
	 */
	uint64_t wraps = ((desc->next - 1) >> ring->size_bits) -
			 (desc->begin >> ring->size_bits);

	wraps &= PA_MASK(64 - ring->size_bits);
	if (wraps > 1)
		return false;
	/* A block is never split: it starts again at the front. */
	if (wraps)
		begin = 0;
	if (!end)
		end = mask + 1;
	/* The descriptor's id, then the text. */
	if (end < begin + 8)
		return false;
	*address_ret = ring->data + begin;
	*room_ret = end - begin - 8;
	return true;
}

/* Appends the text of the record with @id; *ok_ret is false if it has none. */
static struct pa_error *text_read(struct pa_memory *memory,
				  const struct ring *ring,
				  const struct desc *desc, uint64_t id,
				  struct pa_log_record *record,
				  struct pa_log *log, bool *ok_ret)
{
	uint64_t address, room;

	*ok_ret = false;
	if (desc->begin & desc->next & LPOS_NO_DATA) {
		*ok_ret = desc->begin == LPOS_EMPTY_LINE &&
			  desc->next == LPOS_EMPTY_LINE;
		if (!*ok_ret)
			log->nr_lost++;
		record->length = 0;
		return NULL;
	}
	if (!block_find(ring, desc, &address, &room)) {
		log->nr_unreadable++;
		return NULL;
	}
	/*
	 * Blocks don't overlap, so that all texts fit where the ring does: a
	 * ring that claims more is none, and would fill our memory.
	 */
	record->length = (uint32_t)pa_min(record->length, room);
	if (log->store.length + record->length >
	    pa_min(PA_BIT(ring->size_bits), MAX_STORE_BYTES)) {
		log->nr_unreadable++;
		return NULL;
	}
	if (!pa_array_reserve(&log->store, record->length + 8))
		return &pa_error_no_memory;

	char *to = log->store.items + log->store.length;
	uint64_t block_id;
	struct pa_error *err = pa_memory_read_u64(memory, address, &block_id);

	if (!err && block_id != id) {
		log->nr_lost++;
		return NULL;
	}
	if (!err)
		err = pa_memory_read(memory, address + 8, record->length, to);
	if (err)
		return err;
	log->store.length += record->length;
	*ok_ret = true;
	return NULL;
}

static void info_decode(const struct pa_layout *layout, const uint8_t *info,
			struct pa_log_record *ret)
{
	*ret = (struct pa_log_record){
		.seq = PA_GET(layout, info, printk_info, seq),
		.time_ns = PA_GET(layout, info, printk_info, ts_nsec),
		.length = (uint32_t)pa_min(PA_GET(layout, info, printk_info,
						  text_len),
					   MAX_TEXT_BYTES),
	};
	if (FITS(layout, printk_info, caller_id))
		ret->caller_id =
			(uint32_t)PA_GET(layout, info, printk_info, caller_id);
	if (FITS(layout, printk_info, facility))
		ret->facility =
			(uint8_t)PA_GET(layout, info, printk_info, facility);
	if (FITS(layout, printk_info, level)) {
		const struct pa_member *level =
			PA_M(layout, printk_info, level);

		ret->level = info[level->offset] >> level->bit_offset &
			     PA_MASK(level->bit_size ? level->bit_size : 8);
	}
}

/* Descriptors and infos of [slot, slot + nr), in memory of their own. */
struct chunk {
	uint8_t *descs;
	uint8_t *infos;
};

static struct pa_error *
record_read(struct pa_memory *memory, const struct pa_layout *layout,
	    const struct ring *ring, const uint8_t *desc_bytes,
	    const uint8_t *info, uint64_t id, struct pa_log *log)
{
	struct desc desc = {
		.state_var = PA_GET(layout, desc_bytes, prb_desc, state_var),
		.begin = PA_GET(layout, desc_bytes, prb_desc,
				text_blk_lpos__begin),
		.next = PA_GET(layout, desc_bytes, prb_desc,
			       text_blk_lpos__next),
	};
	enum desc_state state = desc.state_var >> ID_BITS;
	struct pa_log_record record;
	struct pa_error *err;
	bool ok;

	/* A slot of another id is one that is being written, or never was. */
	if ((desc.state_var & ID_MASK) != id ||
	    (state != DESC_COMMITTED && state != DESC_FINALIZED))
		return NULL;
	info_decode(layout, info, &record);

	size_t start = log->store.length;

	err = text_read(memory, ring, &desc, id, &record, log, &ok);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		log->nr_unreadable++;
		return NULL;
	}
	if (err || !ok)
		return err;
	/* The store still moves: an offset until all is read. */
	record.text = (const char *)(uintptr_t)start;
	if (!pa_array_append(&log->records, record))
		return &pa_error_no_memory;
	return NULL;
}

/* The records with ids from @id on that lie in one chunk of slots. */
static struct pa_error *chunk_read(struct pa_memory *memory,
				   const struct pa_layout *layout,
				   const struct ring *ring,
				   const struct chunk *chunk, uint64_t id,
				   uint64_t nr, struct pa_log *log)
{
	uint64_t slot = id & PA_MASK(ring->count_bits);
	struct pa_error *err;

	err = pa_memory_read(memory, ring->descs + slot * ring->desc_bytes,
			     nr * ring->desc_bytes, chunk->descs);
	if (!err)
		err = pa_memory_read(memory,
				     ring->infos + slot * ring->info_bytes,
				     nr * ring->info_bytes, chunk->infos);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		log->nr_unreadable += nr;
		return NULL;
	}
	for (uint64_t i = 0; !err && i < nr; i++)
		err = record_read(memory, layout, ring,
				  chunk->descs + i * ring->desc_bytes,
				  chunk->infos + i * ring->info_bytes,
				  (id + i) & ID_MASK, log);
	return err;
}

static struct pa_error *records_read(struct pa_memory *memory,
				     const struct pa_layout *layout,
				     const struct ring *ring,
				     struct pa_log *log)
{
	pa_auto_free uint8_t *descs = malloc(CHUNK * ring->desc_bytes);
	pa_auto_free uint8_t *infos = malloc(CHUNK * ring->info_bytes);
	struct chunk chunk = { .descs = descs, .infos = infos };
	uint64_t count = PA_BIT(ring->count_bits);
	uint64_t id = ring->tail_id;
	uint64_t left = ((ring->head_id - id) & ID_MASK) + 1;

	if (!descs || !infos)
		return &pa_error_no_memory;
	/* A tail that can't be right: the newest are what the slots hold. */
	if (left > pa_min(count, MAX_RECORDS)) {
		left = pa_min(count, MAX_RECORDS);
		id = (ring->head_id - (left - 1)) & ID_MASK;
	}
	while (left) {
		uint64_t to_end = count - (id & (count - 1));
		uint64_t nr = pa_min(pa_min(left, to_end), CHUNK);
		struct pa_error *err =
			chunk_read(memory, layout, ring, &chunk, id, nr, log);

		if (err)
			return err;
		id = (id + nr) & ID_MASK;
		left -= nr;
	}
	return NULL;
}

struct pa_error *pa_log_read(struct pa_memory *memory,
			     const struct pa_layout *layout, struct pa_log *ret)
{
	struct pa_log log = { 0 };
	struct ring ring = { 0 };
	struct pa_error *err;

	if (!layout_has_log(layout))
		return pa_error_create(PA_ERROR_MISSING,
				       "no symbol or types of the printk ring "
				       "buffer: the kernel's log is unknown");
	err = ring_read(memory, layout, &ring);
	if (!err)
		err = records_read(memory, layout, &ring, &log);
	if (err) {
		pa_log_deinit(&log);
		return err;
	}
	pa_array_for_each(record, &log.records)
		record->text = log.store.items + (uintptr_t)record->text;
	*ret = log;
	return NULL;
}

void pa_log_deinit(struct pa_log *log)
{
	pa_array_deinit(&log->records);
	pa_array_deinit(&log->store);
}
