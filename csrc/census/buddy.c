// SPDX-License-Identifier: LGPL-2.1-or-later
/* The buddy allocator's free lists: mm/page_alloc.c. */
#include <stdlib.h>
#include <string.h>

#include "census/lists.h"
#include "census/zones_now.h"

/* enum migratetype's short names, as /proc/pagetypeinfo has them. */
static const char *type_name(const struct pa_layout *layout, uint32_t type)
{
	static const struct {
		enum pa_enumerator_id id;
		const char *name;
	} rows[] = {
		{ PA_ENUM_MIGRATE_UNMOVABLE, "Unmovable" },
		{ PA_ENUM_MIGRATE_MOVABLE, "Movable" },
		{ PA_ENUM_MIGRATE_RECLAIMABLE, "Reclaimable" },
		{ PA_ENUM_MIGRATE_HIGHATOMIC, "HighAtomic" },
		{ PA_ENUM_MIGRATE_CMA, "CMA" },
		{ PA_ENUM_MIGRATE_ISOLATE, "Isolate" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pa_enumerator *e =
			&layout->enumerators[rows[i].id];

		if (e->known && (uint64_t)e->value == type)
			return rows[i].name;
	}
	return "?";
}

struct buddy_list {
	struct pa_list_worker *worker;
	const struct pa_zone *zone;
	struct pa_list_fault fault;
	uint32_t order;
	uint64_t length;
};

/*
 * An entry that is not the free block of this list: the list accounts for its
 * pages all the same.
 */
static void claim(struct buddy_list *list, uint8_t *first)
{
	struct pa_census *census = list->worker->census;

	/* Not as the block that it says it is: that has other buddies. */
	if (list->fault.page_class == PA_CLASS_ZERO ||
	    list->fault.page_class >= PA_CLASS_FREE)
		__atomic_store_n(first,
				 (uint8_t)((*first & PA_MARK_HWPOISON) |
					   PA_MARK_LISTED | PA_CLASS_FREE_BODY),
				 __ATOMIC_RELAXED);
	for (uint64_t i = 1; i < PA_BIT(list->order); i++) {
		uint8_t *class = pa_census_class(census, list->fault.pfn + i);
		uint8_t zero = PA_CLASS_ZERO;

		if (!class || (*class & PA_CLASS_MASK) >= PA_CLASS_FREE)
			break;
		__atomic_compare_exchange_n(class, &zero, PA_CLASS_FREE_BODY,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	}
}

/* The zone that the page's own flags name is the list's: zones may overlap. */
static bool is_of_zone(struct buddy_list *list, uint64_t page)
{
	struct pa_list_worker *worker = list->worker;
	const struct pa_page_format *f = &worker->census->kernel->page_format;
	uint64_t flags;
	struct pa_error *err =
		pa_memory_read_u64(worker->memory, page + f->flags, &flags);

	if (err) {
		pa_error_destroy(err);
		worker->unreadable++;
		return true;
	}
	return pa_page_node(f, flags) == list->zone->node &&
	       pa_page_zone(f, flags) == list->zone->index;
}

static bool visit_free(void *arg, uint64_t node)
{
	struct buddy_list *list = arg;
	struct pa_list_worker *worker = list->worker;
	struct pa_list_fault *fault = &list->fault;
	uint8_t *class;

	list->length++;
	fault->node = node;
	if (!pa_list_entry(worker, node, fault, &class))
		return !worker->err;
	fault->page_class = *class & PA_CLASS_MASK;
	if (fault->page_class != PA_CLASS_FREE + list->order) {
		/* Without its struct page nothing can be said. */
		if (fault->page_class == PA_CLASS_UNKNOWN) {
			worker->unreadable++;
			return true;
		}
		fault->kind = fault->page_class >= PA_CLASS_FREE ?
				      PA_FAULT_WRONG_LIST :
				      PA_FAULT_CLASS;
		claim(list, class);
		return pa_list_fault_add(worker, fault);
	}
	if (__atomic_fetch_or(class, PA_MARK_LISTED, __ATOMIC_RELAXED) &
	    PA_MARK_LISTED) {
		fault->kind = PA_FAULT_TWICE;
		return pa_list_fault_add(worker, fault);
	}
	if (!pa_zone_spans(list->zone, fault->pfn) ||
	    !is_of_zone(list, node - worker->census->kernel->page_format.lru)) {
		fault->kind = PA_FAULT_WRONG_LIST;
		return pa_list_fault_add(worker, fault);
	}
	return true;
}

/* One list: its index is zone, order and type in one number. */
static struct pa_error *walk_free_list(void *arg, uint64_t index)
{
	struct pa_list_worker *worker = arg;
	struct pa_census *census = worker->census;
	const struct pa_kernel *kernel = census->kernel;
	const struct pa_zones *zones = &kernel->zones;
	uint32_t type = (uint32_t)(index % zones->nr_migrate_types);
	uint32_t order =
		(uint32_t)(index / zones->nr_migrate_types % zones->nr_orders);
	size_t zone_index = index / zones->nr_migrate_types / zones->nr_orders;
	const struct pa_zone *zone = &zones->list.items[zone_index];
	struct buddy_list list = {
		.worker = worker,
		.zone = zone,
		.order = order,
		.fault = {
			.holder = PA_HOLDER_BUDDY,
			.zone = (int)zone_index,
			.head = pa_zone_free_list(kernel->layout, zone, order,
						  type),
		},
	};
	struct pa_error *err;

	snprintf(worker->name, sizeof(worker->name),
		 "node %u zone %s order %u %s", zone->node, zone->name, order,
		 type_name(kernel->layout, type));
	err = pa_list_check(worker, &list.fault,
			    zone->spanned + zones->nr_orders, visit_free,
			    &list);
	census->zones[zone_index].listed[order][type] = list.length;
	worker->references += list.length;
	return err;
}

/*
 * Whether the lists of a running kernel's zones were walked while they changed:
 * their counters then say nothing of what was counted.
 */
static void compare_zones(struct pa_census *census,
			  const struct pa_zones *after)
{
	const struct pa_layout *layout = census->kernel->layout;

	for (size_t i = 0; i < after->list.length; i++) {
		const struct pa_zone *x = &census->zones_listed.list.items[i];
		const struct pa_zone *y = &after->list.items[i];
		int64_t before = 0, now = 0;

		census->zones[i].moved =
			memcmp(x->nr_free, y->nr_free, sizeof(x->nr_free)) ||
			pa_zone_free_pages(layout, x, &before) !=
				pa_zone_free_pages(layout, y, &now) ||
			before != now;
	}
}

struct pa_error *pa_census_buddy(struct pa_census *census, struct pa_job *job)
{
	const struct pa_zones *zones = &census->kernel->zones;
	uint64_t lists = (uint64_t)zones->list.length * zones->nr_orders *
			 zones->nr_migrate_types;
	struct pa_zones after = {};
	struct pa_error *err = pa_zones_now(census, &census->zones_listed);

	if (!err)
		err = pa_lists_run(census, job, PA_CENSUS_BUDDY, "free lists",
				   walk_free_list, lists);
	if (!err)
		err = pa_zones_now(census, &after);
	if (!err)
		compare_zones(census, &after);
	pa_zones_deinit(&after);
	return err;
}
