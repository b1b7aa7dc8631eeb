/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between architectures: how kernel virtual addresses turn into
 * physical ones, and a few constants. One file an architecture.
 */
#ifndef PA_KERNEL_ARCH_H
#define PA_KERNEL_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "types/layout.h"

struct pa_memory;
struct pa_page_table_format;
struct pa_entry;

/* The address-space numbers of one booted kernel; read-only after setup. */
struct pa_address_space {
	unsigned int page_shift;
	/* log2 of bytes of memory in a section (SECTION_SIZE_BITS). */
	unsigned int section_size_bits;
	unsigned int max_physmem_bits;
	/* Physical address that holds an image address of 0. */
	uint64_t image_start;
	uint64_t image_end;
	uint64_t image_phys;
	/* The direct map: [direct_start, direct_end) at phys 0 upwards. */
	uint64_t direct_start;
	uint64_t direct_end;
	/* Virtual address of pfn 0's struct page. */
	uint64_t vmemmap_start;
	/* Physical address of the kernel's root page table. */
	uint64_t root_phys;
	unsigned int levels;
	/* The bits of a table entry that hold a physical address. */
	uint64_t entry_phys_mask;
};

struct pa_translation {
	bool mapped;
	uint64_t phys;
	/* Bytes from the address to the end of the leaf, or of the hole. */
	uint64_t length;
};

/* What a walk of all of the kernel's page tables meets. */
struct pa_table_visitor {
	/*
	 * A table of @level (0: of pages) at @phys, for [va, va + bytes). False
	 * if what it maps is not to be walked. Never twice for one table.
	 */
	bool (*table)(void *arg, unsigned int level, uint64_t phys, uint64_t va,
		      uint64_t bytes);
	/* A leaf; false stops the walk. */
	bool (*leaf)(void *arg, uint64_t va, uint64_t phys, uint64_t bytes,
		     bool executable);
	void *arg;
};

struct pa_arch {
	const char *name;
	/* ELF e_machine. */
	uint16_t machine;
	/*
	 * From VMCOREINFO and symbols, what is needed to translate image
	 * addresses and to walk page tables: all but direct_*, vmemmap_start.
	 */
	struct pa_error *(*setup)(const char *vmcoreinfo,
				  const struct pa_layout *layout,
				  struct pa_address_space *ret);
	/* Then what has to be read from the kernel's variables. */
	struct pa_error *(*setup_regions)(struct pa_memory *memory,
					  const struct pa_layout *layout,
					  struct pa_address_space *ret);
	/* Walks the kernel's page tables. */
	struct pa_error *(*translate)(struct pa_memory *memory, uint64_t va,
				      struct pa_translation *ret);
	/* Walks all of them; counts the tables that could not be read. */
	struct pa_error *(*walk)(struct pa_memory *memory,
				 const struct pa_table_visitor *visitor,
				 uint64_t *unread_ret);
	/* The entries of user page tables: kernel/page_table.h. */
	void (*setup_entries)(const struct pa_layout *layout,
			      const struct pa_address_space *space,
			      struct pa_page_table_format *format);
	/* What @value, an entry of @level (0: of the lowest), says. */
	void (*decode_entry)(const struct pa_page_table_format *format,
			     unsigned int level, uint64_t value,
			     struct pa_entry *ret);
};

extern const struct pa_arch pa_arch_x86_64;

#endif
