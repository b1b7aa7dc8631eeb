// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/kdump_part.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"

/* struct disk_dump_header of a 64-bit machine, to its nr_cpus. */
#define HEADER_BYTES 464
#define HEADER_VERSION 8
#define HEADER_UTS_MACHINE 272
#define UTS_BYTES 65
#define HEADER_TIMESTAMP_USEC 416
#define HEADER_STATUS 424
#define HEADER_BLOCK_SIZE 428
#define HEADER_SUB_HDR_SIZE 432
#define HEADER_BITMAP_BLOCKS 436
#define HEADER_MAX_MAPNR 440

/* struct kdump_sub_header of a 64-bit machine. */
#define SUB_DUMP_LEVEL 8
#define SUB_SPLIT 12
#define SUB_START_PFN 16
#define SUB_END_PFN 24
#define SUB_OFFSET_VMCOREINFO 32
#define SUB_SIZE_VMCOREINFO 40
#define SUB_OFFSET_NOTE 48
#define SUB_SIZE_NOTE 56
#define SUB_OFFSET_ERASEINFO 64
#define SUB_SIZE_ERASEINFO 72
#define SUB_START_PFN_64 80
#define SUB_END_PFN_64 88
#define SUB_MAX_MAPNR_64 96
#define SUB_BYTES 104

#define DESCRIPTOR_BYTES 24

/* Versions so far are 0 to 6; some day there will be more. */
#define MAX_VERSION 64

/* What libkdumpfile 0.5 takes for a page size. */
#define LIB_MIN_PAGE_BYTES 4096
#define LIB_MAX_PAGE_BYTES 262144

#define MAX_NOTE_BYTES (UINT64_C(64) << 20)

/* 2^52 bytes of physical address space. */
#define MAX_PFNS (UINT64_C(1) << 40)

static struct pa_error *damaged(const struct pa_kdump_part *part,
				const char *what)
{
	return pa_error_create(PA_ERROR_FORMAT,
			       "%s: a kdump-compressed dump that is damaged or "
			       "cut short (%s)",
			       part->file->path, what);
}

static bool range_is_inside(const struct pa_kdump_part *part, uint64_t offset,
			    uint64_t bytes)
{
	return offset <= part->file->size && bytes <= part->file->size - offset;
}

static bool note_is_inside(const struct pa_kdump_part *part, uint64_t offset,
			   uint64_t bytes)
{
	return bytes <= MAX_NOTE_BYTES && range_is_inside(part, offset, bytes);
}

static struct pa_error *check_machine(const struct pa_kdump_part *part,
				      const uint8_t *header)
{
	char machine[UTS_BYTES];

	memcpy(machine, header + HEADER_UTS_MACHINE, sizeof(machine));
	machine[sizeof(machine) - 1] = 0;
	for (char *p = machine; *p; p++) {
		/* Binary: another layout of the header, or damage. */
		if (*p < ' ' || *p > '~')
			*machine = 0;
	}
	/* A header of a big-endian machine has its version at the top. */
	if (pa_load_u32(header + HEADER_VERSION) > MAX_VERSION) {
		uint32_t swapped =
			__builtin_bswap32(pa_load_u32(header + HEADER_VERSION));

		if (swapped > MAX_VERSION)
			return damaged(part, "header version");
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: a dump of a big-endian machine%s%s;"
				       " only x86_64 is supported",
				       part->file->path, *machine ? ", " : "",
				       machine);
	}
	/* QEMU leaves all of utsname but the machine empty. */
	if (*machine && strcmp(machine, "x86_64"))
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: a dump of a machine of "
				       "architecture %s; only x86_64 is "
				       "supported",
				       part->file->path, machine);
	return NULL;
}

static bool is_power_of_2(uint64_t v)
{
	return v && !(v & (v - 1));
}

static bool is_lib_page_size(uint32_t bytes)
{
	return bytes >= LIB_MIN_PAGE_BYTES && bytes <= LIB_MAX_PAGE_BYTES &&
	       is_power_of_2(bytes);
}

/*
 * libkdumpfile tries the layout of 32-bit machines first, in both byte orders.
 * There the block size lies where we have the microseconds of the timestamp,
 * the number of bitmap blocks where we have the status. One dump in 100,000
 * looks right to it, and it would go on to read nonsense.
 */
static bool looks_32_bit(const uint8_t *header)
{
	uint32_t usec = pa_load_u32(header + HEADER_TIMESTAMP_USEC);

	return pa_load_u32(header + HEADER_STATUS) &&
	       (is_lib_page_size(usec) ||
		is_lib_page_size(__builtin_bswap32(usec)));
}

static struct pa_error *read_sub_header(struct pa_kdump_part *part,
					uint32_t version)
{
	uint8_t sub[SUB_BYTES] = { 0 };
	uint64_t eraseinfo_offset = 0, eraseinfo_bytes = 0;

	part->dump_level = -1;
	part->end_pfn = part->max_mapnr;
	if (version < 1)
		return NULL;
	if (pa_file_read(part->file, PA_KDUMP_PAGE_BYTES, sub, sizeof(sub)) !=
	    sizeof(sub))
		return damaged(part, "no sub header");
	part->dump_level = (int32_t)pa_load_u32(sub + SUB_DUMP_LEVEL);
	part->split = version >= 2 && pa_load_u32(sub + SUB_SPLIT);
	if (version >= 6) {
		part->max_mapnr = pa_load_u64(sub + SUB_MAX_MAPNR_64);
		part->end_pfn = part->max_mapnr;
	}
	if (part->split) {
		bool wide = version >= 6;

		part->start_pfn = pa_load_u64(
			sub + (wide ? SUB_START_PFN_64 : SUB_START_PFN));
		part->end_pfn = pa_load_u64(
			sub + (wide ? SUB_END_PFN_64 : SUB_END_PFN));
	}
	if (version >= 3) {
		part->vmcoreinfo_offset =
			pa_load_u64(sub + SUB_OFFSET_VMCOREINFO);
		part->vmcoreinfo_bytes = pa_load_u64(sub + SUB_SIZE_VMCOREINFO);
	}
	if (version >= 4) {
		part->notes_offset = pa_load_u64(sub + SUB_OFFSET_NOTE);
		part->notes_bytes = pa_load_u64(sub + SUB_SIZE_NOTE);
	}
	/* Of no use to us, but libkdumpfile reads it since 0.5.2. */
	if (version >= 5) {
		eraseinfo_offset = pa_load_u64(sub + SUB_OFFSET_ERASEINFO);
		eraseinfo_bytes = pa_load_u64(sub + SUB_SIZE_ERASEINFO);
	}
	if (!note_is_inside(part, part->vmcoreinfo_offset,
			    part->vmcoreinfo_bytes) ||
	    !note_is_inside(part, part->notes_offset, part->notes_bytes) ||
	    !note_is_inside(part, eraseinfo_offset, eraseinfo_bytes))
		return damaged(part, "notes");
	return NULL;
}

/* Bits set among the first @nr_bits at @bits. */
static uint64_t count_bits(const uint8_t *bits, uint64_t nr_bits)
{
	uint64_t count = 0, i = 0;

	for (; i + 64 <= nr_bits; i += 64)
		count += (uint64_t)__builtin_popcountll(
			pa_load_u64(bits + i / 8));
	if (i < nr_bits) {
		uint64_t rest = nr_bits - i;
		uint64_t word =
			pa_load_uint(bits + i / 8, (uint32_t)(rest + 7) / 8);

		count += (uint64_t)__builtin_popcountll(word & PA_MASK(rest));
	}
	return count;
}

static uint64_t nr_bits_below(const struct pa_kdump_part *part, uint64_t pfn)
{
	uint64_t at = pa_align_down(pfn, PA_KDUMP_RANK_PFNS);

	return part->nr_before[at / PA_KDUMP_RANK_PFNS] +
	       count_bits(part->dumped.bits + at / 8, pfn - at);
}

static struct pa_error *read_bitmaps(struct pa_kdump_part *part,
				     uint64_t offset, uint64_t bytes)
{
	/*
	 * A dump of diskdump's time may have one bitmap only: then all memory
	 * was written.
	 */
	bool both = part->max_mapnr <= bytes * 8 / 2;
	uint64_t each = both ? bytes / 2 : bytes;
	struct pa_error *err;

	part->memory.nr_pfns = part->dumped.nr_pfns = part->max_mapnr;
	err = pa_file_view(part->file, offset, each, &part->memory.bits,
			   &part->memory.copy);
	if (err)
		return err;
	err = pa_file_view(part->file, offset + (both ? each : 0), each,
			   &part->dumped.bits, &part->dumped.copy);
	if (err)
		return err;

	uint64_t nr_ranks = part->max_mapnr / PA_KDUMP_RANK_PFNS + 1;
	uint64_t count = 0;

	part->nr_before = calloc(nr_ranks, sizeof(*part->nr_before));
	if (!part->nr_before)
		return &pa_error_no_memory;
	for (uint64_t i = 0; i < nr_ranks; i++) {
		uint64_t pfn = i * PA_KDUMP_RANK_PFNS;

		part->nr_before[i] = count;
		count += count_bits(part->dumped.bits + pfn / 8,
				    pa_min(PA_KDUMP_RANK_PFNS,
					   part->max_mapnr - pfn));
	}
	part->nr_before_start = nr_bits_below(part, part->start_pfn);
	part->nr_dumped =
		nr_bits_below(part, part->end_pfn) - part->nr_before_start;
	return NULL;
}

static struct pa_error *part_read(struct pa_kdump_part *part)
{
	uint8_t header[HEADER_BYTES];
	struct pa_error *err;

	if (pa_file_read(part->file, 0, header, sizeof(header)) !=
	    sizeof(header))
		return damaged(part, "no header");
	err = check_machine(part, header);
	if (err)
		return err;
	part->status = pa_load_u32(header + HEADER_STATUS);
	part->max_mapnr = pa_load_u32(header + HEADER_MAX_MAPNR);

	uint32_t block_bytes = pa_load_u32(header + HEADER_BLOCK_SIZE);
	uint64_t sub_blocks = pa_load_u32(header + HEADER_SUB_HDR_SIZE);
	uint64_t bitmap_blocks = pa_load_u32(header + HEADER_BITMAP_BLOCKS);
	uint64_t offset = (1 + sub_blocks) * PA_KDUMP_PAGE_BYTES;
	uint64_t bytes = bitmap_blocks * PA_KDUMP_PAGE_BYTES;

	if (block_bytes != PA_KDUMP_PAGE_BYTES) {
		if (block_bytes < 65536 * 4 && is_power_of_2(block_bytes) &&
		    block_bytes > PA_KDUMP_PAGE_BYTES)
			return pa_error_create(
				PA_ERROR_UNSUPPORTED,
				"%s: a dump of a machine with pages of %u "
				"bytes; only x86_64 is supported",
				part->file->path, block_bytes);
		return damaged(part, "block size");
	}
	if (looks_32_bit(header))
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s: libkdumpfile takes this dump for "
				       "that of a 32-bit machine, because of "
				       "the timestamp in its header",
				       part->file->path);
	err = read_sub_header(part, pa_load_u32(header + HEADER_VERSION));
	if (err)
		return err;
	/* libkdumpfile has sub_hdr_size and bitmap_blocks as signed. */
	if (sub_blocks > INT32_MAX || bitmap_blocks > INT32_MAX ||
	    !range_is_inside(part, offset, bytes))
		return damaged(part, "bitmaps");
	/* The 32-bit max_mapnr is checked by libkdumpfile, as here. */
	if (part->max_mapnr > bytes * 8 || part->max_mapnr > MAX_PFNS ||
	    pa_load_u32(header + HEADER_MAX_MAPNR) > bytes * 8)
		return damaged(part, "max_mapnr");
	if (part->start_pfn > part->end_pfn || part->end_pfn > part->max_mapnr)
		return damaged(part, "range of pages of a split dump");
	part->descriptor_offset = offset + bytes;
	err = read_bitmaps(part, offset, bytes);
	if (err)
		return err;
	part->data_offset =
		part->descriptor_offset + part->nr_dumped * DESCRIPTOR_BYTES;
	return NULL;
}

struct pa_error *pa_kdump_part_init(struct pa_kdump_part *part,
				    struct pa_file *file)
{
	*part = (struct pa_kdump_part){ .file = file };

	struct pa_error *err = part_read(part);

	if (err)
		pa_kdump_part_deinit(part);
	return err;
}

void pa_kdump_part_deinit(struct pa_kdump_part *part)
{
	free(part->memory.copy);
	free(part->dumped.copy);
	free(part->nr_before);
	*part = (struct pa_kdump_part){ 0 };
}

struct pa_error *pa_kdump_part_notes(const struct pa_kdump_part *part,
				     struct pa_elf_notes *notes)
{
	const uint8_t *bytes;
	struct pa_error *err = NULL;

	if (part->notes_bytes) {
		pa_auto_free void *copy = NULL;

		err = pa_file_view(part->file, part->notes_offset,
				   part->notes_bytes, &bytes, &copy);
		if (!err)
			err = pa_elf_notes_add(notes, bytes, part->notes_bytes);
	}
	/* The notes have VMCOREINFO as well since header version 4. */
	if (!err && part->vmcoreinfo_bytes && !notes->vmcoreinfo) {
		pa_auto_free void *copy = NULL;

		err = pa_file_view(part->file, part->vmcoreinfo_offset,
				   part->vmcoreinfo_bytes, &bytes, &copy);
		if (err)
			return err;
		notes->vmcoreinfo =
			pa_vmcoreinfo_copy(bytes, part->vmcoreinfo_bytes);
		if (!notes->vmcoreinfo)
			return &pa_error_no_memory;
	}
	return err;
}

bool pa_kdump_bitmap_test(const struct pa_kdump_bitmap *bitmap, uint64_t pfn)
{
	return pfn < bitmap->nr_pfns && bitmap->bits[pfn / 8] >> (pfn % 8) & 1;
}

uint64_t pa_kdump_bitmap_change(const struct pa_kdump_bitmap *bitmap,
				uint64_t pfn, uint64_t limit)
{
	if (pfn >= bitmap->nr_pfns)
		return limit;

	/* Bits that differ from the first one are set in the words below. */
	uint64_t flip = pa_kdump_bitmap_test(bitmap, pfn) ? ~UINT64_C(0) : 0;
	uint64_t end = pa_min(limit, bitmap->nr_pfns);
	uint64_t at = pfn + 1;

	while (at < end) {
		uint64_t byte = at / 8;
		uint64_t bytes = pa_min((end + 7) / 8 - byte, 8);
		uint64_t word =
			pa_load_uint(bitmap->bits + byte, (uint32_t)bytes);

		word = (word ^ flip) & ~PA_MASK(at % 8);
		if (bytes < 8)
			word &= PA_MASK(bytes * 8);
		if (word) {
			at = byte * 8 + (uint64_t)__builtin_ctzll(word);
			break;
		}
		at = (byte + bytes) * 8;
	}
	at = pa_min(at, end);
	/* Above the last pfn all bits are clear. */
	if (at == end && !flip)
		return limit;
	return at;
}

uint64_t pa_kdump_part_index(const struct pa_kdump_part *part, uint64_t pfn)
{
	return nr_bits_below(part, pfn) - part->nr_before_start;
}

bool pa_kdump_part_page(const struct pa_kdump_part *part, uint64_t index,
			struct pa_kdump_page *ret, size_t *hint)
{
	uint64_t offset = part->descriptor_offset + index * DESCRIPTOR_BYTES;
	uint64_t length = DESCRIPTOR_BYTES;
	const uint8_t *data = pa_file_span(part->file, offset, &length, hint);
	uint8_t copy[DESCRIPTOR_BYTES];

	if (!data)
		return false;
	if (length < DESCRIPTOR_BYTES) {
		/* Torn by the end of the file, or of a flattened record. */
		if (pa_file_read(part->file, offset, copy, sizeof(copy)) !=
		    sizeof(copy))
			return false;
		data = copy;
	}
	*ret = (struct pa_kdump_page){
		.offset = pa_load_u64(data),
		.bytes = pa_load_u32(data + 8),
		.flags = pa_load_u32(data + 12),
	};
	/*
	 * An incomplete dump has zeros where makedumpfile did not get to. More
	 * bytes than a page is damage: nobody stores a page that compression
	 * made larger.
	 */
	return ret->bytes && ret->bytes <= PA_KDUMP_PAGE_BYTES &&
	       (ret->flags & PA_KDUMP_COMPRESSED ||
		ret->bytes == PA_KDUMP_PAGE_BYTES) &&
	       ret->offset >= part->data_offset &&
	       range_is_inside(part, ret->offset, ret->bytes);
}

uint64_t pa_kdump_part_missing(const struct pa_kdump_part *part)
{
	/* As many as one looks at in a moment; zero pages may hide the end. */
	const uint64_t max_looked_at = 1 << 18;
	uint64_t nr_missing = 0;
	size_t hint = 0;

	for (uint64_t i = 0; i < pa_min(part->nr_dumped, max_looked_at); i++) {
		struct pa_kdump_page page;

		nr_missing += !pa_kdump_part_page(part, part->nr_dumped - 1 - i,
						  &page, &hint);
	}
	return nr_missing;
}
