/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes small kdump-compressed dumps (see csrc/source/kdump_part.h). */
#ifndef PA_TESTS_KDUMP_WRITER_H
#define PA_TESTS_KDUMP_WRITER_H

#include "dump.h"

/* Pfns [first, end) are memory; every @step-th of them is in the dump. */
struct kdump_plan {
	uint32_t max_mapnr;
	uint32_t first;
	uint32_t end;
	uint32_t step;
	/* "" as QEMU writes it. */
	const char *machine;
	uint32_t status;
	/* One of a --split set, of these pfns. */
	bool split;
	uint64_t split_start;
	uint64_t split_end;
};

enum {
	KDUMP_NOTES = 2 * PAGE - 2048,
	KDUMP_BITMAPS = 2 * PAGE,
	KDUMP_DESCRIPTORS = 4 * PAGE,
};

static inline bool kdump_has_page(const struct kdump_plan *plan, uint64_t pfn)
{
	return pfn >= plan->first && pfn < plan->end &&
	       (pfn - plan->first) % plan->step == 0;
}

static inline bool kdump_part_has_page(const struct kdump_plan *plan,
				       uint64_t pfn)
{
	return kdump_has_page(plan, pfn) &&
	       (!plan->split ||
		(pfn >= plan->split_start && pfn < plan->split_end));
}

/* Such pages are all 'Z' and compressed; the others are not. */
static inline bool kdump_is_compressed(uint64_t pfn)
{
	return pfn % 8 == 0;
}

/* A page of 'Z' by zlib. */
static const uint8_t kdump_compressed_page[] = {
	0x78, 0xda, 0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00, 0x00, 0xc2,
	0xa0, 0x9e, 0xef, 0x1f, 0xc4, 0x1e, 0x0e, 0x28, 0x00, 0x00,
	0x00, 0xe0, 0xdd, 0x00, 0x83, 0x4b, 0xa0, 0x4c
};

static inline void kdump_put(const struct memory_file *file, uint64_t offset,
			     uint64_t value, size_t bytes)
{
	memory_file_write(file, offset, &value, bytes);
}

static inline void kdump_write_header(const struct memory_file *file,
				      const struct kdump_plan *plan,
				      uint64_t notes_bytes)
{
	memory_file_write(file, 0, "KDUMP   ", 8);
	kdump_put(file, 8, 6, 4);
	if (*plan->machine)
		memory_file_write(file, 12, "Linux", 5);
	memory_file_write(file, 12 + 4 * 65, plan->machine,
			  strlen(plan->machine));
	kdump_put(file, 424, plan->status, 4);
	kdump_put(file, 428, PAGE, 4);
	kdump_put(file, 432, 1, 4);
	kdump_put(file, 436, 2, 4);
	kdump_put(file, 440, plan->max_mapnr, 4);
	/* The sub header. */
	kdump_put(file, PAGE + 8, 31, 4);
	kdump_put(file, PAGE + 12, plan->split, 4);
	if (plan->split) {
		kdump_put(file, PAGE + 16, plan->split_start, 8);
		kdump_put(file, PAGE + 24, plan->split_end, 8);
		kdump_put(file, PAGE + 80, plan->split_start, 8);
		kdump_put(file, PAGE + 88, plan->split_end, 8);
	}
	kdump_put(file, PAGE + 48, KDUMP_NOTES, 8);
	kdump_put(file, PAGE + 56, notes_bytes, 8);
	kdump_put(file, PAGE + 96, plan->max_mapnr, 8);
}

static inline struct memory_file kdump_write(const struct kdump_plan *plan)
{
	struct memory_file file = memory_file_create();
	uint8_t bytes[PAGE] = { 0 };
	uint8_t memory[PAGE] = { 0 }, dumped[PAGE] = { 0 };
	uint64_t at = KDUMP_DESCRIPTORS, data = KDUMP_DESCRIPTORS;
	size_t notes_bytes = dump_notes(bytes);

	kdump_write_header(&file, plan, notes_bytes);
	memory_file_write(&file, KDUMP_NOTES, bytes, notes_bytes);
	for (uint32_t pfn = 0; pfn < plan->max_mapnr; pfn++) {
		if (pfn >= plan->first && pfn < plan->end)
			memory[pfn / 8] |= (uint8_t)(1 << pfn % 8);
		/* In all parts of a split dump. */
		if (kdump_has_page(plan, pfn))
			dumped[pfn / 8] |= (uint8_t)(1 << pfn % 8);
		if (kdump_part_has_page(plan, pfn))
			data += 24;
	}
	memory_file_write(&file, KDUMP_BITMAPS, memory, PAGE);
	memory_file_write(&file, KDUMP_BITMAPS + PAGE, dumped, PAGE);
	for (uint32_t pfn = 0; pfn < plan->max_mapnr; pfn++) {
		size_t length = PAGE;

		if (!kdump_part_has_page(plan, pfn))
			continue;
		if (kdump_is_compressed(pfn)) {
			length = sizeof(kdump_compressed_page);
			memcpy(bytes, kdump_compressed_page, length);
		} else {
			dump_fill(bytes, (uint64_t)pfn * PAGE, length);
		}
		memory_file_write(&file, data, bytes, length);
		kdump_put(&file, at, data, 8);
		kdump_put(&file, at + 8, length, 4);
		kdump_put(&file, at + 12, kdump_is_compressed(pfn), 4);
		kdump_put(&file, at + 16, 0, 8);
		at += 24;
		data += length;
	}
	return file;
}

/*
 * Reads all of [0, max_mapnr) in runs of at most @step bytes, checks that no
 * page has another presence than it should (but missing pages are allowed to
 * be unreadable), and returns the number of pages that are present.
 */
static inline uint64_t kdump_check(struct pa_source *source,
				   const struct kdump_plan *plan, size_t step)
{
	uint64_t end = ((uint64_t)plan->max_mapnr + 3) * PAGE, count = 0;
	uint8_t *buffer = malloc(step);
	struct pa_reader *reader;

	CHECK_FATAL(buffer);
	CHECK_OK(pa_reader_create(source, &reader));
	for (uint64_t at = 0; at < end;) {
		struct pa_run run = { 0 };
		uint64_t length = end - at < step ? end - at : step;
		bool right = true;

		CHECK_OK(pa_reader_run(reader, at, length, buffer, &run));
		CHECK_FATAL(run.length && run.length <= length);
		for (uint64_t i = 0; i < run.length; i++) {
			uint64_t pfn = (at + i) / PAGE;
			uint8_t wanted = kdump_is_compressed(pfn) ?
						 'Z' :
						 dump_byte(at + i);

			if (run.presence == PA_PRESENT)
				right &= kdump_has_page(plan, pfn) &&
					 run.data[i] == wanted;
			else if (run.presence == PA_EXCLUDED)
				right &= !kdump_has_page(plan, pfn) &&
					 pfn >= plan->first && pfn < plan->end;
		}
		CHECK(right);
		if (run.presence == PA_PRESENT)
			count += run.length;
		at += run.length;
	}
	pa_reader_destroy(reader);
	free(buffer);
	CHECK(count % PAGE == 0);
	return count / PAGE;
}

/* The same dump as makedumpfile -F writes it, in records of @step bytes. */
static inline struct memory_file kdump_flatten(const struct memory_file *plain,
					       size_t step, bool with_end)
{
	struct memory_file file = memory_file_create();
	off_t size = lseek(plain->fd, 0, SEEK_END);
	uint8_t *bytes = malloc(step);
	uint64_t at = PAGE;
	const uint64_t last[2] = { UINT64_MAX, UINT64_MAX };

	CHECK_FATAL(bytes && size > 0);
	CHECK_FATAL(!ftruncate(file.fd, PAGE));
	memory_file_write(&file, 0, "makedumpfile", 12);
	kdump_put(&file, 16, __builtin_bswap64(1), 8);
	kdump_put(&file, 24, __builtin_bswap64(1), 8);
	/* From the end to the start: the order does not matter. */
	for (off_t offset = (size - 1) / (off_t)step * (off_t)step; offset >= 0;
	     offset -= (off_t)step) {
		ssize_t n = pread(plain->fd, bytes, step, offset);

		CHECK_FATAL(n > 0);
		kdump_put(&file, at, __builtin_bswap64((uint64_t)offset), 8);
		kdump_put(&file, at + 8, __builtin_bswap64((uint64_t)n), 8);
		memory_file_write(&file, at + 16, bytes, (size_t)n);
		at += 16 + (uint64_t)n;
	}
	if (with_end)
		memory_file_write(&file, at, last, sizeof(last));
	free(bytes);
	return file;
}

#endif
