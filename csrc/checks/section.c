// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sections, subsections and memory blocks: mm/sparse.c, drivers/base/memory.c */
#include <inttypes.h>

#include "checks/coverage.h"
#include "checks/families.h"

static void report(struct pa_check_context *c, const struct pa_section *section,
		   enum pa_severity severity, const char *what)
{
	const struct pa_sections *sections = &c->kernel->sections;
	uint64_t pfn = section->nr << sections->pages_shift;
	struct pa_finding *f =
		pa_finding_add(c->findings, PA_CHECK_SECTION_STATE, severity,
			       pfn, pfn + sections->pages,
			       "section %" PRIu64 ": %s", section->nr, what);
	const struct pa_block *block =
		c->kernel->parts[PA_PART_BLOCKS] ?
			NULL :
			pa_block_find(&c->kernel->blocks, section->nr);

	pa_finding_number(f, "section", (int64_t)section->nr);
	pa_finding_hex(f, "section_mem_map", section->word);
	pa_finding_text(f, "flags", "%s%s%s%s%s",
			section->present ? "PRESENT " : "",
			section->has_mem_map ? "HAS_MEM_MAP " : "",
			section->online ? "ONLINE " : "",
			section->early ? "EARLY " : "",
			section->taint_zone_device ? "TAINT_ZONE_DEVICE" : "");
	pa_finding_hex(f, "usage", section->usage);
	if (block) {
		pa_finding_number(f, "memory_block", (int64_t)block->id);
		pa_finding_text(f, "memory_block_state", "%s",
				pa_block_state_names[block->state]);
	}
}

static bool any_subsection(const struct pa_sections *sections,
			   const struct pa_section *section)
{
	for (uint64_t i = 0; i < sections->subsection_words; i++)
		if (section->subsections[i])
			return true;
	return false;
}

/* The page that holds a boot section's usage map is PG_reserved. */
static bool usage_not_boot(struct pa_check_context *c,
			   const struct pa_section *section)
{
	const struct pa_address_space *space = &c->kernel->space;
	const uint8_t *class;

	if (section->usage < space->direct_start ||
	    section->usage >= space->direct_end)
		return false;
	class = pa_census_class(c->census,
				(section->usage - space->direct_start) >>
					space->page_shift);
	return class && (*class & PA_CLASS_MASK) != PA_CLASS_RESERVED &&
	       (*class & PA_CLASS_MASK) != PA_CLASS_UNKNOWN;
}

/* The section's own word: the first thing that is wrong with it. */
static void check_word(struct pa_check_context *c,
		       const struct pa_section *section)
{
	const struct pa_sections *sections = &c->kernel->sections;

	if (!section->word)
		return; /* Removed; boot memory keeps its usage map. */
	if (!section->present) {
		report(c, section, PA_BUG, "has flags without PRESENT");
		return;
	}
	if (!section->has_mem_map) {
		/* section_deactivate() clears it a moment before the rest. */
		report(c, section, section->online ? PA_BUG : PA_SUSPECT,
		       section->online ? "online without a memory map" :
					 "present without a memory map");
		return;
	}
	/*
	 * With a virtual memory map every section's coded pointer, pfn 0's
	 * struct page, is the same (sparse_encode_mem_map()).
	 */
	if ((section->word & sections->bits.map_mask) !=
	    c->kernel->space.vmemmap_start) {
		report(c, section, PA_BUG,
		       "its memory map is not where vmemmap has it");
		return;
	}
	if (!section->usage) {
		report(c, section, PA_BUG, "has no usage map");
		return;
	}
	if (!section->usage_read)
		return;
	/* section_deactivate() removes a section with its last subsection. */
	if (!any_subsection(sections, section)) {
		report(c, section, PA_BUG, "has no valid subsection");
		return;
	}
	if (section->early && usage_not_boot(c, section))
		report(c, section, PA_BUG,
		       "EARLY, but its usage map is not boot memory");
}

static bool has_pgmap(const struct pa_kernel *kernel,
		      const struct pa_section *section)
{
	uint64_t pfn = section->nr << kernel->sections.pages_shift;
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);

	return range && range->pfn < pfn + kernel->sections.pages;
}

/* The section against the state of its memory block. */
static void check_against_block(struct pa_check_context *c,
				const struct pa_section *section)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_block *block =
		pa_block_find(&kernel->blocks, section->nr);

	if (pa_check_disputed(c, section->nr << kernel->sections.pages_shift))
		return;
	if (!block) {
		/* ZONE_DEVICE sections have no block; online RAM has. */
		if (section->online && !kernel->blocks.unreadable)
			report(c, section, PA_BUG,
			       "online, but in no memory block");
		return;
	}
	if (block->state == PA_BLOCK_OFFLINE && section->online)
		report(c, section, pa_check_hotplug_severity(c),
		       "online in an offline memory block");
	/*
	 * online_pages() and offline_pages() change all of a block's sections.
	 * A block may have absent ones, and, from boot, a ZONE_DEVICE one.
	 */
	else if (block->state == PA_BLOCK_ONLINE && !section->online &&
		 (section->early || !has_pgmap(kernel, section)))
		report(c, section, PA_BUG,
		       "not online in an online memory block");
}

/* A block against the sections that it should have. */
static void check_block(struct pa_check_context *c,
			const struct pa_block *block)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_sections *sections = &kernel->sections;
	uint64_t per_block = kernel->blocks.sections_per_block;
	uint64_t first = block->start_section_nr;
	uint64_t present = 0, online = 0;
	uint64_t pfn, end;
	const char *what = NULL;

	for (uint64_t i = 0; i < per_block; i++) {
		const struct pa_section *section = pa_pfn_to_section(
			sections, (first + i) << sections->pages_shift);

		if (!section)
			continue;
		/* A section that contradicts itself is the defect, told. */
		if (pa_check_disputed(c, section->nr << sections->pages_shift))
			return;
		present += section->present;
		online += section->online;
	}
	if (first / per_block != block->id)
		what = "its first section is another block's";
	else if (block->state == PA_BLOCK_UNKNOWN)
		what = "its state has no meaning";
	else if (!present)
		what = "none of its sections is present";
	else if (block->state == PA_BLOCK_ONLINE && !online)
		what = "online, but none of its sections is";
	else if (block->state == PA_BLOCK_OFFLINE && present &&
		 online == present)
		what = "offline, but its sections are online";
	/* offline_pages() refuses a block with holes. */
	else if (block->state == PA_BLOCK_OFFLINE && present < per_block)
		what = "offline, and it lacks sections";
	if (!what || sections->unreadable_roots)
		return;
	pa_block_range(kernel, block, &pfn, &end);

	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_SECTION_STATE,
		block->state == PA_BLOCK_OFFLINE && online ?
			pa_check_hotplug_severity(c) :
			PA_BUG,
		pfn, end, "memory block %" PRIu64 ": %s", block->id, what);

	pa_check_add_hotplug(c, f);

	pa_finding_hex(f, "memory_block", block->address);
	pa_finding_number(f, "state", (int64_t)block->raw_state);
	pa_finding_number(f, "start_section_nr", (int64_t)first);
	pa_finding_number(f, "sections", (int64_t)per_block);
	pa_finding_number(f, "sections_present", (int64_t)present);
	pa_finding_number(f, "sections_online", (int64_t)online);
}

struct pa_error *pa_check_section_state(struct pa_check_context *c,
					struct pa_check_result *result)
{
	const struct pa_kernel *kernel = c->kernel;
	const struct pa_sections *sections = &kernel->sections;
	bool blocks = !kernel->parts[PA_PART_BLOCKS];

	for (size_t i = 0; i < sections->list.length; i++) {
		const struct pa_section *section = &sections->list.items[i];

		result->examined++;
		if (section->usage && !section->usage_read)
			pa_check_status(result, PA_PARTIAL,
					"the usage map of some sections could "
					"not be read");
		check_word(c, section);
	}
	if (sections->unreadable_roots)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " pages of the section table could "
				"not be read",
				sections->unreadable_roots);
	if (!blocks) {
		if (PA_HAS_SYM(kernel->layout, memory_blocks))
			pa_check_status(result, PA_PARTIAL, "memory blocks: %s",
					kernel->parts[PA_PART_BLOCKS]->message);
		return NULL;
	}
	if (kernel->blocks.unreadable)
		pa_check_status(result, PA_PARTIAL,
				"%" PRIu64 " memory blocks could not be read",
				kernel->blocks.unreadable);
	/* What is wrong with all of a block is one defect, of the block. */
	pa_array_for_each(block, &kernel->blocks.list) {
		result->examined++;
		check_block(c, block);
	}
	for (size_t i = 0; i < sections->list.length; i++)
		if (sections->list.items[i].present)
			check_against_block(c, &sections->list.items[i]);
	return NULL;
}
