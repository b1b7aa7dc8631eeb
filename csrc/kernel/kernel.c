// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/kernel.h"

#include <inttypes.h>
#include <stdlib.h>

#include "kernel/pgmap_put.h"

const char *const pa_pfn_state_names[PA_NR_PFN_STATES] = {
	[PA_PFN_ABSENT] = "absent",   [PA_PFN_HOLE] = "hole",
	[PA_PFN_OFFLINE] = "offline", [PA_PFN_DEVICE] = "device",
	[PA_PFN_ALTMAP] = "altmap",   [PA_PFN_ONLINE] = "online",
	[PA_PFN_UNKNOWN] = "unknown",
};

static void kernel_destroy_parts(struct pa_kernel *kernel)
{
	pa_sections_deinit(&kernel->sections);
	pa_cpus_deinit(&kernel->cpus);
	pa_zones_deinit(&kernel->zones);
	pa_blocks_deinit(&kernel->blocks);
	pa_pgmaps_deinit(&kernel->pgmaps);
	for (int i = 0; i < PA_NR_PARTS; i++)
		pa_error_destroy(kernel->parts[i]);
}

void pa_kernel_destroy(struct pa_kernel *kernel)
{
	if (!kernel)
		return;
	kernel_destroy_parts(kernel);
	free(kernel);
}

/* Keeps why a part is missing; passes on what is our own failure. */
static struct pa_error *keep_part(struct pa_kernel *kernel,
				  enum pa_kernel_part part,
				  struct pa_error *err)
{
	if (!err)
		return NULL;
	if (!pa_error_is_target(err) && err->code != PA_ERROR_MISSING)
		return err;
	kernel->parts[part] = err;
	return NULL;
}

static struct pa_error *read_parts(struct pa_kernel *kernel,
				   struct pa_memory *memory)
{
	const struct pa_layout *layout = kernel->layout;
	const char *vmcoreinfo = kernel->source->info.vmcoreinfo;
	struct pa_error *err;

	err = keep_part(kernel, PA_PART_CPUS,
			pa_cpus_init(memory, layout, &kernel->cpus));
	if (err)
		return err;
	err = keep_part(kernel, PA_PART_ZONES,
			pa_zones_init(memory, layout, vmcoreinfo, &kernel->cpus,
				      &kernel->zones));
	if (err)
		return err;
	err = keep_part(kernel, PA_PART_BLOCKS,
			pa_blocks_init(memory, layout, &kernel->blocks));
	if (err)
		return err;
	return keep_part(kernel, PA_PART_PGMAPS,
			 pa_pgmaps_init(memory, layout, &kernel->pgmaps));
}

static struct pa_error *kernel_init(struct pa_kernel *kernel)
{
	const struct pa_layout *layout = kernel->layout;
	const char *vmcoreinfo = kernel->source->info.vmcoreinfo;
	struct pa_memory *memory = NULL;
	struct pa_error *err =
		kernel->arch->setup(vmcoreinfo, layout, &kernel->space);

	if (!err)
		err = pa_kernel_memory(kernel, &memory);
	if (!err)
		err = kernel->arch->setup_regions(memory, layout,
						  &kernel->space);
	if (!err)
		err = pa_page_format_init(layout, vmcoreinfo,
					  &kernel->page_format);
	if (!err)
		pa_mapcount_format_init(layout, &kernel->page_format,
					&kernel->mapcount_format);
	if (!err)
		err = pa_sections_init(memory, layout, vmcoreinfo,
				       &kernel->sections);
	if (!err)
		err = read_parts(kernel, memory);
	if (!err)
		err = pa_pgmaps_find_put(kernel, &kernel->pgmaps);
	pa_memory_destroy(memory);
	return err;
}

struct pa_error *pa_kernel_create(struct pa_source *source,
				  const struct pa_layout *layout,
				  struct pa_kernel **ret)
{
	struct pa_kernel *kernel = calloc(1, sizeof(*kernel));

	if (!kernel)
		return &pa_error_no_memory;
	kernel->source = source;
	kernel->layout = layout;
	kernel->arch = &pa_arch_x86_64;

	struct pa_error *err = kernel_init(kernel);

	if (err) {
		pa_kernel_destroy(kernel);
		return err;
	}
	*ret = kernel;
	return NULL;
}

bool pa_page_to_pfn(const struct pa_kernel *kernel, uint64_t page,
		    uint64_t *pfn_ret)
{
	uint64_t offset = page - kernel->space.vmemmap_start;
	uint64_t size = kernel->page_format.size;

	if (offset / size >=
	    PA_BIT(kernel->space.max_physmem_bits - kernel->space.page_shift)) {
		*pfn_ret = PA_NO_PFN;
		return false;
	}
	*pfn_ret = offset / size;
	return offset % size == 0;
}

bool pa_block_range(const struct pa_kernel *kernel,
		    const struct pa_block *block, uint64_t *pfn_ret,
		    uint64_t *end_ret)
{
	uint64_t nr_sections = PA_BIT(kernel->space.max_physmem_bits -
				      kernel->space.section_size_bits);
	uint64_t pfn = block->start_section_nr << kernel->sections.pages_shift;

	*pfn_ret = *end_ret = PA_NO_PFN;
	if (block->start_section_nr >= nr_sections)
		return false;
	*pfn_ret = pfn;
	*end_ret = pfn +
		   kernel->blocks.sections_per_block * kernel->sections.pages;
	return true;
}

/* The end of the subsections from @pfn on that are all valid, or all not. */
static uint64_t subsection_run(const struct pa_sections *sections,
			       const struct pa_section *section, uint64_t pfn,
			       uint64_t end)
{
	bool valid = pa_pfn_section_valid(sections, section, pfn);

	while (pfn < end &&
	       pa_pfn_section_valid(sections, section, pfn) == valid)
		pfn = pa_align_down(pfn, sections->subsection_pages) +
		      sections->subsection_pages;
	return pa_min(pfn, end);
}

enum pa_pfn_state pa_pfn_state_run(const struct pa_kernel *kernel, uint64_t pfn,
				   uint64_t end, uint64_t *end_ret)
{
	const struct pa_sections *sections = &kernel->sections;
	const struct pa_section *section = pa_pfn_to_section(sections, pfn);

	end = pa_min(end,
		     pa_align_down(pfn, sections->pages) + sections->pages);
	if (!section || !section->has_mem_map) {
		*end_ret = end;
		return PA_PFN_ABSENT;
	}
	if (section->usage && !section->usage_read) {
		*end_ret = end;
		return PA_PFN_UNKNOWN;
	}
	end = subsection_run(sections, section, pfn, end);
	if (!pa_pfn_section_valid(sections, section, pfn)) {
		*end_ret = end;
		return section->early ? PA_PFN_HOLE : PA_PFN_ABSENT;
	}

	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);

	if (range && pfn >= range->pfn) {
		bool data = pfn >= range->data_pfn;

		*end_ret = pa_min(end, data ? range->pfn_end : range->data_pfn);
		return data ? PA_PFN_DEVICE : PA_PFN_ALTMAP;
	}
	*end_ret = range ? pa_min(end, range->pfn) : end;
	return section->online ? PA_PFN_ONLINE : PA_PFN_OFFLINE;
}

enum pa_pfn_state pa_pfn_state(const struct pa_kernel *kernel, uint64_t pfn)
{
	uint64_t end;

	return pa_pfn_state_run(kernel, pfn, pfn + 1, &end);
}
