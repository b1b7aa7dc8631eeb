// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * References that keep device memory, and what memory error handling left
 * behind: mm/memremap.c, fs/dax.c, mm/memory-failure.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "census/excess.h"
#include "checks/discrepancy.h"
#include "checks/families.h"
#include "checks/poison_log.h"
#include "kernel/stack.h"

static int64_t excess(const struct pa_discrepancy *d)
{
	if (d->wrong & PA_WRONG_MAPCOUNTS || !(d->wrong & PA_WRONG_REFCOUNT))
		return 0;
	return pa_discrepancy_excess(d, PA_COUNT_REFCOUNT);
}

static const struct pa_pgmap *device_map(const struct pa_kernel *kernel,
					 uint64_t pfn)
{
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);

	return range && range->pfn <= pfn ?
		       &kernel->pgmaps.maps.items[range->map] :
		       NULL;
}

/*
 * Who waits for the memory to be let go of: in memunmap_pages(), or in the
 * freeze of the queue that a pmem device lends its pgmap (before v5.18).
 */
static struct pa_error *add_teardown(struct pa_check_context *c,
				     struct pa_finding *f)
{
	static const enum pa_symbol_id functions[] = {
		PA_SYM_memunmap_pages,
		PA_SYM_blk_mq_freeze_queue_wait,
	};
	static const char *const names[] = {
		"memunmap_pages()",
		"blk_mq_freeze_queue_wait()",
	};
	struct pa_stack_hit hit = { 0 };
	uint64_t unread;
	struct pa_error *err = pa_stacks_find(
		c->kernel, c->memmap->memory, functions,
		sizeof(functions) / sizeof(functions[0]), &hit, &unread);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (!err && hit.task)
		pa_finding_text(f, "teardown",
				"%s (pid %" PRIu32
				") is in %s until the references are gone",
				hit.comm, hit.pid, names[hit.function]);
	return err;
}

static struct pa_error *add_map(struct pa_check_context *c,
				struct pa_finding *f,
				const struct pa_discrepancy *d)
{
	const struct pa_pgmap *map = device_map(c->kernel, d->pfn);

	if (!map)
		return NULL;
	pa_finding_hex(f, "pgmap", map->address);
	pa_finding_text(f, "pgmap_type", "%s%s", pa_pgmap_type_names[map->type],
			map->dead ? ", being torn down" : "");
	return map->dead ? add_teardown(c, f) : NULL;
}

/*
 * madvise(MADV_SOFT_OFFLINE and MADV_HWPOISON) takes one reference with
 * get_user_pages() for the handling to put: where nothing names a page of the
 * device that has one too many, or one whose soft offlining is known to have
 * failed, that is what is left of it (fixed by
 * dad4e5b39086, v5.11).
 */
static bool is_soft_offline(const struct pa_discrepancy *d,
			    const struct pa_judgement *judgement,
			    const struct pa_poison_log *log)
{
	return excess(d) == 1 && judgement->severity == PA_BUG &&
	       (d->kind == PA_FOLIO_DEVICE ||
		pa_poison_log_soft_offline(log, d->pfn,
					   d->pfn + PA_BIT(d->order)));
}

static struct pa_error *report(struct pa_check_context *c,
			       enum pa_check_id check,
			       const struct pa_discrepancy *d,
			       const struct pa_judgement *judgement)
{
	const struct pa_stored_counted *n = &d->counts[PA_COUNT_REFCOUNT];
	bool device = d->kind == PA_FOLIO_DEVICE;
	char summary[160];

	snprintf(summary, sizeof(summary),
		 "%s page has a refcount of %" PRId64 ", %" PRId64
		 " of it accounted for: %s",
		 pa_folio_kind_names[d->kind], n->stored, n->counted,
		 check == PA_CHECK_SOFT_OFFLINE_LEAK ?
			 "the reference that memory error handling took" :
			 "its device cannot be torn down cleanly");

	struct pa_finding *f =
		pa_discrepancy_add(c, check, d, judgement, summary);

	return device ? add_map(c, f, d) : NULL;
}

/* One pass serves both checks: what is one is not the other. */
static struct pa_error *visit(struct pa_check_context *c,
			      enum pa_check_id check,
			      const struct pa_poison_log *log)
{
	const struct pa_excess *found = c->census->excess;
	struct pa_error *err = NULL;

	for (size_t i = 0; !err && i < found->nr_folios; i++) {
		const struct pa_discrepancy *d =
			&c->census->counts->list.items[i];
		struct pa_judgement judgement;

		if (excess(d) <= 0 || pa_discrepancy_mappings_unread(c->census))
			continue;
		err = pa_discrepancy_judge(c, d, &judgement);

		bool leak = !err && is_soft_offline(d, &judgement, log);

		if (!err && (check == PA_CHECK_SOFT_OFFLINE_LEAK ?
				     leak :
				     !leak && d->kind == PA_FOLIO_DEVICE))
			err = report(c, check, d, &judgement);
		pa_judgement_deinit(&judgement);
	}
	return err;
}

static struct pa_error *check_leaks(struct pa_check_context *c,
				    struct pa_check_result *result,
				    enum pa_check_id check)
{
	struct pa_poison_log log = { 0 };
	struct pa_error *err = pa_poison_log_read(c, &log);

	pa_discrepancy_coverage(c, result);
	if (!err)
		err = visit(c, check, &log);
	pa_poison_log_deinit(&log);
	return err;
}

struct pa_error *pa_check_soft_offline_leak(struct pa_check_context *c,
					    struct pa_check_result *result)
{
	return check_leaks(c, result, PA_CHECK_SOFT_OFFLINE_LEAK);
}

struct pa_error *pa_check_device_page_reference(struct pa_check_context *c,
						struct pa_check_result *result)
{
	return check_leaks(c, result, PA_CHECK_DEVICE_PAGE_REFERENCE);
}
