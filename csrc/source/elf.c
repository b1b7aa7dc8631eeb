// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ELF vmcores: of /proc/vmcore, makedumpfile -E, QEMU and libvirt. The file is
 * mapped, and runs point straight into the mapping.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "source/elf_header.h"
#include "source/internal.h"

/* makedumpfile.c: e_flags of a core for which the disk was too small. */
#define DUMP_ELF_INCOMPLETE 0x1

/* A bound for hostile headers; dumps have some thousands at most. */
#define MAX_PIECES (UINT64_C(1) << 24)

/* Of present memory, which a run reads from the disk. */
#define MAX_RUN_BYTES (UINT64_C(16) << 20)

/* The largest folio that x86-64 maps at once, as do others. */
#define LARGE_FOLIO_BYTES PA_BIT(21)

/* Where several segments speak of the same memory: one that has it wins. */
enum rank {
	RANK_PRESENT,
	RANK_MISSING,
	RANK_EXCLUDED,
};

struct elf_source {
	struct pa_source base;
	struct pa_file *file;
	/* Settled; from = offset in the file's map. */
	struct pa_pieces table;
};

struct elf_reader {
	struct pa_reader base;
	size_t hint;
};

static void elf_destroy(struct pa_source *base)
{
	struct elf_source *source = (struct elf_source *)base;

	pa_source_info_deinit(&base->info);
	pa_array_deinit(&source->table);
	pa_file_destroy(source->file);
	free(source);
}

static struct pa_error *elf_reader_create(struct pa_source *base,
					  struct pa_reader **ret)
{
	struct elf_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->base.source = base;
	*ret = &reader->base;
	return NULL;
}

static void elf_reader_destroy(struct pa_reader *base)
{
	free(base);
}

static struct pa_error *elf_run(struct pa_reader *base, uint64_t phys,
				uint64_t length, uint8_t *buffer,
				struct pa_run *ret)
{
	struct elf_reader *reader = (struct elf_reader *)base;
	const struct elf_source *source =
		(const struct elf_source *)base->source;
	const struct pa_piece *piece;

	(void)buffer;
	pa_table_run(&source->table, phys, length, &reader->hint, ret, &piece);
	if (!piece)
		return NULL;

	uint64_t offset = piece->from + (phys - piece->start);
	uint64_t ready = pa_file_ready(source->file, offset,
				       pa_min(ret->length, MAX_RUN_BYTES));

	if (ready) {
		ret->length = ready;
		ret->data = source->file->map + offset;
	} else {
		/* The disk that the dump lies on is bad here. */
		ret->presence = PA_UNREADABLE;
		ret->length = pa_min(ret->length, 4096 - offset % 4096);
	}
	return NULL;
}

/*
 * What is not in the page cache then comes there in large folios, by reads as
 * large, and is mapped a large folio at a time: a fault for each 4 KiB costs
 * more than all else that is done with them. For all of the file this would
 * be wrong: what lies scattered is read for the sake of single pages.
 */
static void elf_expect(struct pa_source *base, uint64_t phys, uint64_t length)
{
	const struct elf_source *source = (const struct elf_source *)base;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end = phys + pa_min(length, UINT64_MAX - phys);
	size_t hint = 0;

	while (phys < end) {
		const struct pa_piece *piece;
		struct pa_run run;

		pa_table_run(&source->table, phys, end - phys, &hint, &run,
			     &piece);
		if (piece && run.length >= LARGE_FOLIO_BYTES) {
			uint64_t from = piece->from + (phys - piece->start);
			uint64_t start = pa_align_down(from, page_bytes);

			/* A kernel that knows nothing of it says so; fine. */
			madvise((void *)(source->file->map + start),
				run.length + (from - start), MADV_HUGEPAGE);
		}
		phys += run.length;
	}
}

static const struct pa_source_ops elf_ops = {
	.destroy = elf_destroy,
	.reader_create = elf_reader_create,
	.reader_destroy = elf_reader_destroy,
	.run = elf_run,
	.expect = elf_expect,
};

static struct pa_error *damaged(const struct elf_source *source)
{
	return pa_error_create(PA_ERROR_FORMAT,
			       "%s: an ELF core with damaged program headers",
			       source->file->path);
}

static struct pa_error *add_piece(struct elf_source *source, uint64_t start,
				  uint64_t end, uint64_t from, enum rank rank)
{
	static const enum pa_presence presence[] = {
		[RANK_PRESENT] = PA_PRESENT,
		[RANK_MISSING] = PA_UNREADABLE,
		[RANK_EXCLUDED] = PA_EXCLUDED,
	};

	if (source->table.length >= MAX_PIECES)
		return damaged(source);
	if (!pa_array_append(&source->table, (struct pa_piece){
						     .start = start,
						     .end = end,
						     .from = from,
						     .rank = rank,
						     .tag = presence[rank],
					     }))
		return &pa_error_no_memory;
	return NULL;
}

static struct pa_error *add_segment(struct elf_source *source,
				    const Elf64_Phdr *phdr,
				    uint64_t *missing_bytes)
{
	uint64_t at = phdr->p_paddr;

	/* No writer of dumps has more in the file than in memory. */
	if (phdr->p_filesz > phdr->p_memsz)
		return damaged(source);
	if (at >= PA_ELF_PHYS_END)
		return NULL;

	uint64_t room = PA_ELF_PHYS_END - at;
	uint64_t in_file = pa_min(phdr->p_filesz, room);
	uint64_t in_memory = pa_min(phdr->p_memsz, room);
	uint64_t end = at + in_file;
	uint64_t offset = phdr->p_offset;
	size_t hint = 0;

	while (at < end) {
		uint64_t length = end - at;
		uint64_t from = at;
		enum rank rank = RANK_MISSING;
		struct pa_error *err;

		/* An offset past 2^64 is past the end of any file. */
		if (offset >= phdr->p_offset &&
		    pa_file_locate(source->file, offset, &length, &hint, &from))
			rank = RANK_PRESENT;
		else
			*missing_bytes += length;
		err = add_piece(source, at, at + length, from, rank);
		if (err)
			return err;
		at += length;
		offset += length;
	}
	/*
	 * Where memory goes on but the file does not, makedumpfile -E left
	 * pages out. They are not zeros, whatever ELF says of such segments.
	 */
	if (in_memory > in_file)
		return add_piece(source, end, phdr->p_paddr + in_memory, end,
				 RANK_EXCLUDED);
	return NULL;
}

static size_t read_file(void *arg, uint64_t offset, void *buffer, size_t length)
{
	return pa_file_read(arg, offset, buffer, length);
}

static struct pa_error *elf_init(struct elf_source *source,
				 struct pa_elf_header *header)
{
	struct pa_source_info *info = &source->base.info;
	uint64_t missing_bytes = 0;
	struct pa_error *err;

	for (size_t i = 0; i < header->nr_segments; i++) {
		if (header->segments[i].p_type != PT_LOAD)
			continue;
		err = add_segment(source, &header->segments[i], &missing_bytes);
		if (err)
			return err;
	}
	err = pa_pieces_settle(&source->table);
	if (err)
		return err;
	for (size_t i = 0; i < source->table.length; i++) {
		err = pa_source_add_range(info, source->table.items[i].start,
					  source->table.items[i].end);
		if (err)
			return err;
	}
	info->format = PA_SOURCE_ELF;
	strcpy(info->format_name, source->file->flattened ?
					  "ELF vmcore (flattened)" :
					  "ELF vmcore");
	info->complete = true;
	info->dump_level = -1;
	info->machine = header->machine;
	pa_elf_notes_move(&header->notes, info);
	if (header->flags & DUMP_ELF_INCOMPLETE)
		pa_source_incomplete(info,
				     "makedumpfile marked it as incomplete");
	if (missing_bytes)
		pa_source_incomplete(
			info,
			"%llu KiB of memory are missing: the file was cut "
			"short",
			(unsigned long long)(missing_bytes / 1024 +
					     (missing_bytes % 1024 != 0)));
	if (source->file->cut_short)
		pa_source_incomplete(info,
				     "the flattened file has no end mark");
	return NULL;
}

struct pa_error *pa_source_elf(struct pa_file *file, struct pa_source **ret)
{
	struct elf_source *source = calloc(1, sizeof(*source));
	struct pa_elf_header header;
	struct pa_error *err;

	if (!source) {
		pa_file_destroy(file);
		return &pa_error_no_memory;
	}
	source->base.ops = &elf_ops;
	source->file = file;
	err = pa_elf_header_init(&header, file->path, read_file, file);
	if (!err) {
		err = elf_init(source, &header);
		pa_elf_header_deinit(&header);
	}
	if (err) {
		elf_destroy(&source->base);
		return err;
	}
	*ret = &source->base;
	return NULL;
}
