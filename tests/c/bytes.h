/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel of a few bytes: 64 KiB of memory in which a test puts structures by
 * hand, the layout that the test gives them, and a memory map of its own.
 */
#ifndef PA_TESTS_BYTES_H
#define PA_TESTS_BYTES_H

#include <elf.h>
#include <string.h>

#include "check.h"
#include "kernel/kernel.h"

#define BASE UINT64_C(0xffff888000000000)
#define SIZE 65536
/* The struct pages of pfns [0, NR_PAGES), in the same memory. */
#define MEMMAP (BASE + 32768)
#define NR_PAGES 512
#define PAGE_BYTES 64
/* Mapped nowhere. */
#define NOWHERE (BASE + 2 * SIZE)

static uint8_t memory_bytes[SIZE];
/* Large: not for the stack. */
static struct pa_layout layout;
static struct pa_kernel kernel;

static inline void put_bytes(uint64_t address, uint64_t value, size_t bytes)
{
	CHECK_FATAL(address - BASE <= SIZE - bytes);
	memcpy(memory_bytes + (address - BASE), &value, bytes);
}

static inline void put(uint64_t address, uint64_t value)
{
	put_bytes(address, value, 8);
}

static inline uint64_t page_at(uint64_t pfn)
{
	return MEMMAP + pfn * PAGE_BYTES;
}

static struct pa_error *read_phys(void *arg, uint64_t phys, uint64_t length,
				  uint8_t *buffer, enum pa_presence *presence)
{
	(void)arg;
	*presence = phys < SIZE && length <= SIZE - phys ? PA_PRESENT :
							   PA_UNREADABLE;
	if (*presence == PA_PRESENT)
		memcpy(buffer, memory_bytes + phys, length);
	return NULL;
}

static struct pa_error *translate(struct pa_memory *memory, uint64_t va,
				  struct pa_translation *ret)
{
	(void)memory;
	*ret = (struct pa_translation){
		.mapped = va - BASE < SIZE,
		.phys = va - BASE,
		.length = va - BASE < SIZE ? SIZE - (va - BASE) : 4096,
	};
	return NULL;
}

static const struct pa_arch arch = { .translate = translate };

#define TYPE(name, bytes)                               \
	layout.types[PA_TYPE_##name] = (struct pa_type) \
	{                                               \
		true, bytes                             \
	}
#define MEMBER(type, name, at, bytes)                                   \
	layout.members[PA_MEMBER_##type##__##name] = (struct pa_member) \
	{                                                               \
		.known = true, .offset = (at), .size = (bytes)          \
	}
#define SYMBOL(name, at)                                   \
	layout.symbols[PA_SYM_##name] = (struct pa_symbol) \
	{                                                  \
		true, at                                   \
	}
#define ENUMERATOR(name, number)                                    \
	layout.enumerators[PA_ENUM_##name] = (struct pa_enumerator) \
	{                                                           \
		true, number                                        \
	}

/* Empty memory, nothing known, and a way to read it: bytes_end() it. */
static struct pa_memory *bytes_start(void)
{
	struct pa_memory *memory;

	memset(memory_bytes, 0, sizeof(memory_bytes));
	memset(&layout, 0, sizeof(layout));
	memset(&kernel, 0, sizeof(kernel));
	kernel.layout = &layout;
	kernel.arch = &arch;
	kernel.space.page_shift = 12;
	kernel.space.vmemmap_start = MEMMAP;
	kernel.space.max_physmem_bits = 21;
	kernel.page_format.size = PAGE_BYTES;
	CHECK_OK(pa_source_callback(read_phys, NULL, NULL, false, EM_X86_64,
				    &kernel.source));
	CHECK_OK(pa_kernel_memory(&kernel, &memory));
	return memory;
}

static void bytes_end(struct pa_memory *memory)
{
	pa_memory_destroy(memory);
	pa_source_destroy(kernel.source);
}

#endif
