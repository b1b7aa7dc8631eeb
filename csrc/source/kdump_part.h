/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The headers, bitmaps and page descriptors of one kdump-compressed file.
 *
 *	block 0        struct disk_dump_header
 *	block 1 ...    struct kdump_sub_header; VMCOREINFO, notes
 *	bitmap 1       a bit per pfn: memory of the machine
 *	bitmap 2       a bit per pfn: its page is in the dump
 *	descriptors    struct page_desc for each bit of bitmap 2, in order
 *	data           pages, most of them compressed
 *
 * libkdumpfile reads the pages. We read all of this ourselves as well: it has
 * no notion of incomplete dumps, gives no reason for an absent page, and (as of
 * 0.5.1) trusts sizes and offsets, so that a damaged file is not survived.
 */
#ifndef PA_SOURCE_KDUMP_PART_H
#define PA_SOURCE_KDUMP_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "source/elf_notes.h"
#include "source/file.h"

/* The only page size of x86_64. */
#define PA_KDUMP_PAGE_SHIFT 12
#define PA_KDUMP_PAGE_BYTES (UINT64_C(1) << PA_KDUMP_PAGE_SHIFT)

/* Compression, as disk_dump_header.status and page_desc.flags have it. */
#define PA_KDUMP_ZLIB 0x1
#define PA_KDUMP_LZO 0x2
#define PA_KDUMP_SNAPPY 0x4
#define PA_KDUMP_ZSTD 0x20
#define PA_KDUMP_COMPRESSED \
	(PA_KDUMP_ZLIB | PA_KDUMP_LZO | PA_KDUMP_SNAPPY | PA_KDUMP_ZSTD)
/* Other bits of disk_dump_header.status. */
#define PA_KDUMP_INCOMPLETE 0x8

/* One bit per pfn from 0. */
struct pa_kdump_bitmap {
	/* Borrowed from the file, or @copy. */
	const uint8_t *bits;
	void *copy;
	/* Pfns at and above this have no bit: clear. */
	uint64_t nr_pfns;
};

struct pa_kdump_part {
	/* Borrowed. */
	struct pa_file *file;
	uint32_t status;
	int dump_level;
	/* One of a --split set; else start_pfn is 0, end_pfn max_mapnr. */
	bool split;
	uint64_t start_pfn;
	uint64_t end_pfn;
	uint64_t max_mapnr;
	struct pa_kdump_bitmap memory;
	struct pa_kdump_bitmap dumped;
	/* nr_before[i]: bits set below pfn i * PA_KDUMP_RANK_PFNS. */
	uint64_t *nr_before;
	/* Bits set below start_pfn: not of this part. */
	uint64_t nr_before_start;
	/* Dumped pages of this part. */
	uint64_t nr_dumped;
	/* Where the descriptors start, and the data behind them. */
	uint64_t descriptor_offset;
	uint64_t data_offset;
	uint64_t vmcoreinfo_offset;
	uint64_t vmcoreinfo_bytes;
	uint64_t notes_offset;
	uint64_t notes_bytes;
};

/* Granularity of the index into the descriptors. */
#define PA_KDUMP_RANK_PFNS 512

/* struct page_desc without page_flags. */
struct pa_kdump_page {
	uint64_t offset;
	uint32_t bytes;
	uint32_t flags;
};

/* Left zeroed on failure; the caller ends with pa_kdump_part_deinit(). */
struct pa_error *pa_kdump_part_init(struct pa_kdump_part *part,
				    struct pa_file *file);
void pa_kdump_part_deinit(struct pa_kdump_part *part);

/* Adds what VMCOREINFO and the ELF notes of the sub header say. */
struct pa_error *pa_kdump_part_notes(const struct pa_kdump_part *part,
				     struct pa_elf_notes *notes);

bool pa_kdump_bitmap_test(const struct pa_kdump_bitmap *bitmap, uint64_t pfn);

/* The first pfn in (@pfn, @limit) whose bit differs from @pfn's, or @limit. */
uint64_t pa_kdump_bitmap_change(const struct pa_kdump_bitmap *bitmap,
				uint64_t pfn, uint64_t limit);

/* The index of the descriptor of a dumped @pfn of this part. */
uint64_t pa_kdump_part_index(const struct pa_kdump_part *part, uint64_t pfn);

/*
 * Where the page of descriptor @index lies: false if descriptor or data are
 * damaged or missing. *@hint as in pa_pieces_find().
 */
bool pa_kdump_part_page(const struct pa_kdump_part *part, uint64_t index,
			struct pa_kdump_page *ret, size_t *hint);

/*
 * Pages whose descriptor or data lie beyond the end of the file, going by the
 * last descriptors (data is in the order of descriptors): 0 if all is there.
 */
uint64_t pa_kdump_part_missing(const struct pa_kdump_part *part);

#endif
