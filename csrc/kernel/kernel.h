/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dumped or running kernel's memory model, read once and then shared by all
 * threads, read-only.
 */
#ifndef PA_KERNEL_KERNEL_H
#define PA_KERNEL_KERNEL_H

#include "base/array.h"
#include "base/job.h"
#include "kernel/arch.h"
#include "kernel/mapcount.h"
#include "kernel/memory.h"
#include "kernel/memory_block.h"
#include "kernel/page.h"
#include "kernel/percpu.h"
#include "kernel/pgmap.h"
#include "kernel/section.h"
#include "kernel/zone.h"
#include "source/source.h"
#include "types/layout.h"

/* Parts that an analysis can do without, each check saying so. */
enum pa_kernel_part {
	PA_PART_CPUS,
	PA_PART_ZONES,
	PA_PART_BLOCKS,
	PA_PART_PGMAPS,
	PA_NR_PARTS,
};

struct pa_kallsyms;

struct pa_kernel {
	/* Borrowed for the kernel's life. */
	struct pa_source *source;
	const struct pa_layout *layout;
	/* That the layout came with, borrowed, too; else NULL. */
	const struct pa_kallsyms *kallsyms;
	const struct pa_arch *arch;
	struct pa_address_space space;
	struct pa_page_format page_format;
	struct pa_mapcount_format mapcount_format;
	struct pa_sections sections;
	struct pa_cpus cpus;
	struct pa_zones zones;
	struct pa_blocks blocks;
	struct pa_pgmaps pgmaps;
	/* Why a part could not be read; NULL where it was. Owned. */
	struct pa_error *parts[PA_NR_PARTS];
};

/*
 * Reads the kernel's memory model. Fails only where nothing can be said at
 * all: no addresses, no sections. Owned by the caller.
 */
struct pa_error *pa_kernel_create(struct pa_source *source,
				  const struct pa_layout *layout,
				  struct pa_kernel **ret);
void pa_kernel_destroy(struct pa_kernel *kernel);

/* One thread's memory; owned by the caller. */
static inline struct pa_error *pa_kernel_memory(const struct pa_kernel *kernel,
						struct pa_memory **ret)
{
	return pa_memory_create(kernel->source, kernel->arch, &kernel->space,
				ret);
}

/* Virtual address of @pfn's struct page. */
static inline uint64_t pa_pfn_to_page(const struct pa_kernel *kernel,
				      uint64_t pfn)
{
	return kernel->space.vmemmap_start + pfn * kernel->page_format.size;
}

/*
 * The pfn whose struct page is at @page. False if @page is not in the memmap's
 * address range, or not at a struct page's start (*pfn_ret is then the pfn of
 * the struct page that it points into, if any).
 */
bool pa_page_to_pfn(const struct pa_kernel *kernel, uint64_t page,
		    uint64_t *pfn_ret);

/*
 * The pages of a memory block. False, and PA_NO_PFN twice, where it says that
 * it lies beyond all memory that there can be.
 */
bool pa_block_range(const struct pa_kernel *kernel,
		    const struct pa_block *block, uint64_t *pfn_ret,
		    uint64_t *end_ret);

/* page_zone(): the zone that a page's flags name, NULL if there is none. */
static inline const struct pa_zone *
pa_flags_zone(const struct pa_kernel *kernel, uint64_t flags)
{
	return pa_zone_find(&kernel->zones,
			    pa_page_node(&kernel->page_format, flags),
			    pa_page_zone(&kernel->page_format, flags));
}

/* What a pfn is, as the kernel's own predicates see it. */
enum pa_pfn_state {
	/* No section, or a removed one: pfn_valid() is false. */
	PA_PFN_ABSENT,
	/* pfn_valid(), but its subsection is no memory (pfn_section_valid()). */
	PA_PFN_HOLE,
	/* In a section that is not online. */
	PA_PFN_OFFLINE,
	/* Data of a live pgmap. */
	PA_PFN_DEVICE,
	/* A pgmap's reserve or altmap area. */
	PA_PFN_ALTMAP,
	/* pfn_to_online_page() gives a page. */
	PA_PFN_ONLINE,
	/* The section's subsection map could not be read. */
	PA_PFN_UNKNOWN,
	PA_NR_PFN_STATES,
};

extern const char *const pa_pfn_state_names[PA_NR_PFN_STATES];

enum pa_pfn_state pa_pfn_state(const struct pa_kernel *kernel, uint64_t pfn);

/*
 * The run [pfn, *end_ret), at most to @end, of one state: walking memory needs
 * a lookup for each change of state, not one for each page.
 */
enum pa_pfn_state pa_pfn_state_run(const struct pa_kernel *kernel, uint64_t pfn,
				   uint64_t end, uint64_t *end_ret);

#endif
