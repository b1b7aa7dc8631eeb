/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places: what a word of kernel memory is part of, so that whoever is told of
 * a pointer knows who holds it.
 */
#ifndef PA_CENSUS_PLACE_H
#define PA_CENSUS_PLACE_H

#include "census/slabs.h"
#include "census/stack_pages.h"
#include "kernel/kernel_tables.h"
#include "types/kallsyms.h"

enum pa_place_kind {
	/* Not memory that the census knows of. */
	PA_PLACE_UNKNOWN,
	/* A CPU's registers, as a note of the dump has them. */
	PA_PLACE_REGISTER,
	/* A kernel stack: a task's, or one of interrupts. */
	PA_PLACE_STACK,
	/* An object of a kmem_cache. */
	PA_PLACE_SLAB,
	/* A CPU's part of the first per-cpu chunk. */
	PA_PLACE_PER_CPU,
	/* The kernel's own data, or a module's text and data. */
	PA_PLACE_IMAGE,
	PA_PLACE_VMALLOC,
	/* A page that belongs to somebody whom we don't know. */
	PA_PLACE_PAGE,
	/* Pages that are no kernel memory: user data, free, tables, memmap. */
	PA_PLACE_NOT_KERNEL,
	PA_NR_PLACE_KINDS,
};

extern const char *const pa_place_names[PA_NR_PLACE_KINDS];

struct pa_place {
	enum pa_place_kind kind;
	/*
	 * Virtual address by which its owner knows it: of the kernel image, a
	 * vmalloc area or stack, else of the direct map. 0: a register.
	 */
	uint64_t address;
	/* Physical; a register's: its number. */
	uint64_t phys;
	/* Nobody uses it: a free object, or below the stack pointer. */
	bool dead;
	/*
	 * What it is in: [start, end) is the object, stack, area, page with
	 * its folio. 0 where unknown.
	 */
	uint64_t start, end;
	/* PA_PLACE_SLAB: NULL where the slab's cache is not known. Borrowed. */
	const struct pa_slab_cache *cache;
	/* PA_PLACE_STACK and registers: the task_struct; 0: of no task. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
	/*
	 * PA_PLACE_STACK: return addresses next below and above, 0 if there is
	 * none. The first is in the function whose frame it is as a rule.
	 */
	uint64_t frame, caller;
	/* PA_PLACE_PER_CPU and registers. */
	uint32_t cpu;
	/* PA_PLACE_PER_CPU: the address to which the CPU's offset is added. */
	uint64_t per_cpu;
	/* PA_PLACE_PAGE: first page of its folio; what the page says it is. */
	uint64_t head_pfn;
	enum pa_page_type page_type;
};

/* All that is asked; shared, read-only after pa_places_create(). */
struct pa_places {
	/* Borrowed. */
	const struct pa_census *census;
	struct pa_kernel_tables tables;
	struct pa_stack_pages stacks;
	/* The kernel's or our own; NULL where the target does not have them. */
	const struct pa_kallsyms *kallsyms;
	struct pa_kallsyms *own_kallsyms;
	/* [start, end) of the kernel's image and text; virtual. */
	uint64_t image_start, image_end, text_start, text_end;
	/* A CPU's part of the first chunk: its linked start, and its bytes. */
	uint64_t per_cpu_start, per_cpu_bytes;
};

/* Owned by the caller; the census must outlive it. */
struct pa_error *pa_places_create(const struct pa_census *census,
				  struct pa_memory *memory,
				  struct pa_places **ret);
void pa_places_destroy(struct pa_places *places);

/* Where a physical address is. */
struct pa_error *pa_place_find(const struct pa_places *places,
			       struct pa_memory *memory, uint64_t phys,
			       struct pa_place *ret);

/* The virtual address by which @phys is known: see struct pa_place. */
uint64_t pa_place_address(const struct pa_places *places, uint64_t phys);

/* First page of the compound page that @pfn, a tail by its class, is in. */
uint64_t pa_place_head(const struct pa_census *census, uint64_t pfn);

/* Whether @va is in executable memory: the kernel's or a module's text. */
bool pa_place_is_text(const struct pa_places *places, uint64_t va);

/*
 * For people: "object 0xffff888003a1f000 + 0x28 of cache kmalloc-64". Owned by
 * the caller; NULL if out of memory.
 */
char *pa_place_describe(const struct pa_places *places,
			const struct pa_place *place);

#endif
