/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernel virtual memory: translation and reading. A struct pa_memory belongs
 * to one thread.
 */
#ifndef PA_KERNEL_MEMORY_H
#define PA_KERNEL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "kernel/arch.h"
#include "source/source.h"

#define PA_TABLE_LEVELS 5
#define PA_TABLE_BYTES 4096

/* The table page last read at one level: walks of neighbours are cheap. */
struct pa_table_cache {
	bool valid;
	uint64_t phys;
	uint64_t entries[PA_TABLE_BYTES / 8];
};

struct pa_memory {
	/* Borrowed for the memory's life. */
	const struct pa_arch *arch;
	const struct pa_address_space *space;
	/* Owned. */
	struct pa_reader *reader;
	struct pa_table_cache tables[PA_TABLE_LEVELS];
};

/* @arch and @space are borrowed; owned by the caller. */
struct pa_error *pa_memory_create(struct pa_source *source,
				  const struct pa_arch *arch,
				  const struct pa_address_space *space,
				  struct pa_memory **ret);
void pa_memory_destroy(struct pa_memory *memory);

/*
 * Where a kernel virtual address lies. An unmapped address is a result
 * (mapped = false), an unreadable page table is an error.
 */
struct pa_error *pa_memory_translate(struct pa_memory *memory, uint64_t va,
				     struct pa_translation *ret);

/* The table page at @phys, cached for @level; borrowed until the next walk. */
struct pa_error *pa_memory_table(struct pa_memory *memory, unsigned int level,
				 uint64_t phys, const uint64_t **ret);

/*
 * All of [va, va + length) into @buffer. PA_ERROR_UNREADABLE if unmapped or
 * not in the target, PA_ERROR_EXCLUDED if filtered, with the address.
 */
struct pa_error *pa_memory_read(struct pa_memory *memory, uint64_t va,
				uint64_t length, void *buffer);
/*
 * A page of kernel memory: what was asked for last, with its neighbours. All
 * zeros at first.
 */
struct pa_memory_page {
	/* Kernel addresses are none of 0. */
	uint64_t va;
	uint8_t bytes[PA_TABLE_BYTES];
};

/*
 * As pa_memory_read(), for what is looked up one by one and mostly lies close
 * together: reads the page that it lies in, unless @page is that page. Of a
 * running kernel it may so be as old as the first lookup in a row of that page.
 */
struct pa_error *pa_memory_read_near(struct pa_memory *memory,
				     struct pa_memory_page *page, uint64_t va,
				     uint64_t length, void *buffer);
struct pa_error *pa_memory_read_u32(struct pa_memory *memory, uint64_t va,
				    uint32_t *ret);
struct pa_error *pa_memory_read_u64(struct pa_memory *memory, uint64_t va,
				    uint64_t *ret);
/* A NUL-terminated string, cut to @size - 1 characters. */
struct pa_error *pa_memory_read_string(struct pa_memory *memory, uint64_t va,
				       char *buffer, uint64_t size);

/* The integer member @type.@member of a structure whose bytes are @bytes. */
#define PA_GET(layout, bytes, type, member)                     \
	pa_load_uint((const uint8_t *)(bytes) +                 \
			     PA_OFFSETOF(layout, type, member), \
		     PA_M(layout, type, member)->size)

/* An integer member that may be a bit field. */
static inline uint64_t pa_load_member(const uint8_t *bytes,
				      const struct pa_member *member)
{
	uint64_t word = pa_load_uint(bytes + member->offset, member->size);

	return member->bit_size ?
		       word >> member->bit_offset & PA_MASK(member->bit_size) :
		       word;
}

/* Kernel virtual addresses are in the upper half. */
static inline bool pa_is_kernel_address(uint64_t va)
{
	return va >> 63;
}

#endif
