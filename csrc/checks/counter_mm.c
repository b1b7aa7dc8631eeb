// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What each mm_struct says that its page tables take: mm_inc_nr_ptes() and the
 * like. check_mm() of kernel/fork.c complains about it when an mm is freed,
 * long after the table was lost, or never for one that lives on.
 */
#include "checks/counter.h"

#include <inttypes.h>

#include "census/page_table.h"
#include "kernel/stack.h"

/* Tables that one task may be about to count: pmd_install(), a THP's two. */
#define TABLES_IN_FLIGHT 2

/* They sleep, or may be made to wait, with a table that is linked nowhere. */
static const enum pa_symbol_id unlinkers[] = {
	PA_SYM_collapse_huge_page,
	PA_SYM_collapse_single_pmd,
	PA_SYM_hpage_collapse_scan_pmd,
	PA_SYM_unmap_page_range,
	PA_SYM_unmap_vmas,
	PA_SYM_zap_page_range_single,
	PA_SYM_free_pgtables,
	PA_SYM_free_pgd_range,
	/* move_normal_pmd() */
	PA_SYM_move_page_tables,
};

static int64_t bytes_in_flight(const struct pa_census *census)
{
	const struct pa_layout *layout = census->kernel->layout;
	int64_t bytes = 0;

	pa_array_for_each(cpu, &census->cpu_tasks.list)
		if (cpu->mode == PA_CPU_KERNEL || cpu->mode == PA_CPU_UNKNOWN)
			bytes += TABLES_IN_FLIGHT * PA_TABLE_BYTES;
	pa_array_for_each(stack, &census->stacks.list)
		if (pa_stack_is_in(layout, stack, unlinkers,
				   sizeof(unlinkers) / sizeof(unlinkers[0])))
			bytes += TABLES_IN_FLIGHT * PA_TABLE_BYTES;
	return bytes;
}

static void report(struct pa_check_context *c, const struct pa_mm *mm,
		   int64_t stored, int64_t counted, bool moving)
{
	struct pa_finding *f = pa_finding_add(
		c->findings, PA_CHECK_COUNTER_DRIFT, moving ? PA_INFO : PA_BUG,
		PA_NO_PFN, PA_NO_PFN,
		"mm of %s (%" PRIu32 "): pgtables_bytes is %" PRId64
		", its page tables take %" PRId64,
		mm->task ? mm->comm : "no task", mm->pid, stored, counted);

	pa_finding_text(f, "counter", "pgtables_bytes");
	pa_finding_hex(f, "mm_struct", mm->address);
	pa_finding_number(f, "stored", stored);
	pa_finding_number(f, "recounted", counted);
	pa_finding_number(f, "difference", stored - counted);
	if (moving)
		pa_finding_text(f, "in_flight",
				"a task may be about to count a table");
}

void pa_check_mm_tables(struct pa_check_context *c,
			struct pa_check_result *result)
{
	const struct pa_page_tables *tables = c->census->page_tables;
	int64_t in_flight = bytes_in_flight(c->census);

	if (!tables || !PA_HAS(c->kernel->layout, mm_struct, pgtables_bytes))
		return;
	for (size_t i = 0; i < tables->mms.list.length; i++) {
		const struct pa_mm *mm = &tables->mms.list.items[i];
		int64_t stored = (int64_t)mm->pgtables_bytes;
		int64_t counted = (int64_t)pa_mm_tables_bytes(&tables->of[i]);
		int64_t difference;

		if (tables->of[i].unreadable)
			continue;
		result->examined++;
		if (stored == counted)
			continue;
		/* Garbage may be any number. */
		if (__builtin_sub_overflow(stored, counted, &difference))
			difference = INT64_MAX;
		report(c, mm, stored, counted,
		       difference <= in_flight && difference >= -in_flight);
	}
}
