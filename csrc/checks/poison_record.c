// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/poison_record.h"

#include <string.h>

#include "census/account.h"
#include "census/folio_kind.h"
#include "census/orphans.h"
#include "census/poisoned.h"
#include "checks/poison_flight.h"
#include "checks/poison_log.h"
#include "kernel/raw_hwp.h"

/* page->private of what take_page_off_buddy() took (v5.19). */
#define MAGIC_HWPOISON 0x48575053

const char *const pa_poison_place_names[PA_NR_POISON_PLACES] = {
	[PA_POISON_FREE] = "free list",
	[PA_POISON_PCP] = "per-cpu free list",
	[PA_POISON_IN_TRANSIT] = "in transit",
	[PA_POISON_ANON] = "anonymous",
	[PA_POISON_PAGE_CACHE] = "page cache",
	[PA_POISON_HUGETLB] = "hugetlb",
	[PA_POISON_SLAB] = "slab",
	[PA_POISON_RESERVED] = "reserved",
	[PA_POISON_KERNEL] = "kernel",
	[PA_POISON_OUT_OF_USE] = "out of use",
	[PA_POISON_ON_NO_LIST] = "on no list",
	[PA_POISON_DEVICE] = "device",
	[PA_POISON_ALTMAP] = "altmap",
	[PA_POISON_OFFLINE] = "offline section",
	[PA_POISON_UNKNOWN] = "unknown",
};

const char *const pa_poison_handling_names[PA_NR_POISON_HANDLINGS] = {
	[PA_POISON_COMPLETE] = "complete",
	[PA_POISON_DELAYED] = "delayed",
	[PA_POISON_IN_PROGRESS] = "in progress",
	[PA_POISON_GIVEN_UP] = "given up",
	[PA_POISON_IN_USE] = "in use",
};

struct reader {
	const struct pa_census *census;
	struct pa_memmap *memmap;
	/* Poisoned pages that are nobody's, by pfn. */
	PA_ARRAY(uint64_t) orphans;
	struct pa_poison_flight flight;
	struct pa_poison_log log;
};

static uint8_t class_of(const struct pa_census *census, uint64_t pfn)
{
	const uint8_t *byte = pa_census_class(census, pfn);

	return byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN;
}

static int64_t maps_of(const struct pa_census *census,
		       const struct pa_poisoned *p)
{
	uint64_t mask = census->kernel->sections.pages - 1;
	const struct pa_account *a, *head;
	int64_t maps = 0;

	if (!census->accounts)
		return -1;
	a = pa_account_find(census->accounts, p->pfn);
	head = pa_account_find(census->accounts, p->head_pfn);
	if (a && a->maps)
		maps += a->maps[p->pfn & mask];
	if (head && head->entire)
		maps += head->entire[(p->head_pfn & mask) >> PA_ENTIRE_SHIFT];
	return maps;
}

/*
 * Its one reference is that of its handling. Mapping and index stay as they
 * were: free_pages_prepare() lets go of a poisoned page before it clears them.
 * A kernel page that was passed over has one reference, too.
 */
static bool is_out_of_use(struct reader *r, const struct pa_poisoned *p)
{
	const struct pa_page_format *f = &r->memmap->kernel->page_format;
	const struct pa_accounts *accounts = r->census->accounts;
	const struct pa_account *a =
		accounts ? pa_account_find(accounts, p->pfn) : NULL;

	return class_of(r->census, p->pfn) == PA_CLASS_USED &&
	       p->refcount == 1 && p->type == PA_PAGE_UNTYPED &&
	       !(p->flags & f->flag.slab) && maps_of(r->census, p) <= 0 &&
	       !(a && a->refs &&
		 a->refs[p->pfn & (r->census->kernel->sections.pages - 1)]) &&
	       (p->private_ == MAGIC_HWPOISON ||
		!pa_poison_log_gave_up(&r->log, p->pfn));
}

/* What the page's owner uses it for, as its head's struct page says. */
static enum pa_poison_place used_place(struct reader *r,
				       const struct pa_poisoned *p)
{
	const struct pa_page_format *f = &r->memmap->kernel->page_format;
	const uint8_t *page;
	struct pa_error *err;

	if (is_out_of_use(r, p))
		return PA_POISON_OUT_OF_USE;
	err = pa_memmap_page(r->memmap, p->head_pfn, 2, &page);
	if (err) {
		pa_error_destroy(err);
		return PA_POISON_UNKNOWN;
	}
	if (pa_page_flags(f, page) & f->flag.slab ||
	    pa_page_type(f, pa_page_type_word(f, page)) == PA_PAGE_SLAB)
		return PA_POISON_SLAB;
	switch (pa_folio_kind(f, page, class_of(r->census, p->head_pfn))) {
	case PA_FOLIO_ANON:
	case PA_FOLIO_KSM:
		return PA_POISON_ANON;
	case PA_FOLIO_FILE:
	case PA_FOLIO_SHMEM:
	case PA_FOLIO_TRUNCATED:
		return PA_POISON_PAGE_CACHE;
	default:
		return PA_POISON_KERNEL;
	}
}

static struct pa_error *collect_orphans(void *arg, uint64_t pfn, uint64_t end)
{
	struct reader *r = arg;
	const struct pa_census *census = r->census;

	for (size_t i = pa_poisoned_from(census, pfn);
	     i < census->poisoned.length && census->poisoned.items[i].pfn < end;
	     i++)
		if (!pa_array_append(&r->orphans,
				     census->poisoned.items[i].pfn))
			return &pa_error_no_memory;
	return NULL;
}

static bool is_orphan(const struct reader *r, uint64_t pfn)
{
	size_t low =
		pa_bisect(r->orphans.items, r->orphans.length, it, *it < pfn);

	return low < r->orphans.length && r->orphans.items[low] == pfn;
}

static enum pa_poison_place place_of(struct reader *r,
				     const struct pa_poisoned *p)
{
	switch (p->state) {
	case PA_PFN_DEVICE:
		return PA_POISON_DEVICE;
	case PA_PFN_ALTMAP:
		return PA_POISON_ALTMAP;
	case PA_PFN_ONLINE:
		break;
	default:
		return PA_POISON_OFFLINE;
	}
	if (p->free_pfn != PA_NO_PFN)
		return PA_POISON_FREE;
	if (p->hugetlb)
		return PA_POISON_HUGETLB;
	switch (class_of(r->census, p->pfn)) {
	case PA_CLASS_PCP:
		return PA_POISON_PCP;
	case PA_CLASS_TAKEN:
		return PA_POISON_IN_TRANSIT;
	case PA_CLASS_RESERVED:
		return PA_POISON_RESERVED;
	case PA_CLASS_ZERO:
		/* Or behind the first of a block that the kernel uses. */
		return is_orphan(r, p->pfn) ? PA_POISON_ON_NO_LIST :
					      PA_POISON_KERNEL;
	default:
		return used_place(r, p);
	}
}

static enum pa_poison_handling
handling_of(struct reader *r, const struct pa_poison_record *record)
{
	switch (record->place) {
	case PA_POISON_FREE:
	case PA_POISON_PCP:
		return PA_POISON_DELAYED;
	case PA_POISON_OUT_OF_USE:
	case PA_POISON_ON_NO_LIST:
	case PA_POISON_OFFLINE:
		return PA_POISON_COMPLETE;
	case PA_POISON_HUGETLB:
		/* dequeue_hugetlb_folio_node_exact() passes over it. */
		if (!record->refcount)
			return PA_POISON_COMPLETE;
		break;
	case PA_POISON_DEVICE:
		if (!record->maps)
			return PA_POISON_COMPLETE;
		break;
	default:
		break;
	}
	return pa_poison_log_gave_up(&r->log, record->pfn) ?
		       PA_POISON_GIVEN_UP :
		       PA_POISON_IN_USE;
}

bool pa_poison_raw_unreliable(const struct pa_census *census, uint64_t head_pfn)
{
	const struct pa_layout *layout = census->kernel->layout;

	if (!PA_HAS_ENUM(layout, HPG_raw_hwp_unreliable))
		return true;
	for (size_t i = 0; i < census->hugetlb.length; i++)
		if (census->hugetlb.items[i].pfn == head_pfn)
			return census->hugetlb.items[i].private_ >>
				       PA_ENUM(layout, HPG_raw_hwp_unreliable) &
			       1;
	return true;
}

static struct pa_error *read_raw(struct reader *r, const struct pa_poisoned *p,
				 struct pa_poison_record *record)
{
	struct pa_raw_hwp raw = { 0 };
	struct pa_error *err = pa_raw_hwp_read(r->memmap->kernel,
					       r->memmap->memory, p->pfn, &raw);

	record->raw_known = !err;
	record->raw_complete = !err &&
			       !pa_poison_raw_unreliable(r->census, p->pfn);
	if (pa_error_is_target(err) || (err && err->code == PA_ERROR_MISSING)) {
		pa_error_destroy(err);
		err = NULL;
	}
	if (!err && !pa_array_extend(&record->raw, &raw.pfns))
		err = &pa_error_no_memory;
	pa_raw_hwp_deinit(&raw);
	return err;
}

static struct pa_error *add_record(struct reader *r,
				   const struct pa_poisoned *p,
				   struct pa_poison_records *ret)
{
	const struct pa_walker *by = pa_poison_flight_of(&r->flight, p->pfn);
	struct pa_poison_record record = {
		.pfn = p->pfn,
		.place = place_of(r, p),
		.refcount = p->refcount,
		.maps = maps_of(r->census, p),
	};
	struct pa_error *err = NULL;

	record.handling = by ? PA_POISON_IN_PROGRESS : handling_of(r, &record);
	if (by) {
		record.pid = by->pid;
		memcpy(record.comm, by->comm, sizeof(record.comm));
	}
	if (record.place == PA_POISON_HUGETLB && p->pfn == p->head_pfn)
		err = read_raw(r, p, &record);
	if (!err && !pa_array_append(&ret->list, record))
		err = &pa_error_no_memory;
	if (err)
		pa_array_deinit(&record.raw);
	return err;
}

struct pa_error *pa_poison_records_init(const struct pa_census *census,
					struct pa_memmap *memmap, uint64_t pfn,
					uint64_t end,
					struct pa_poison_records *ret)
{
	struct reader r = { .census = census, .memmap = memmap };
	size_t i = pa_poisoned_from(census, pfn);
	struct pa_error *err;

	if (!pa_poisoned_in(census, pfn, end))
		return NULL;
	err = pa_poison_flight_init(census, memmap->memory, &r.flight);
	if (!err)
		err = pa_poison_log_read(memmap->kernel, memmap->memory,
					 &r.log);
	if (!err)
		err = pa_orphans_visit(census, collect_orphans, &r);
	for (; !err && i < census->poisoned.length &&
	       census->poisoned.items[i].pfn < end &&
	       ret->list.length < PA_MAX_POISON_RECORDS;
	     i++)
		err = add_record(&r, &census->poisoned.items[i], ret);
	pa_array_deinit(&r.orphans);
	pa_poison_log_deinit(&r.log);
	pa_poison_flight_deinit(&r.flight);
	return err;
}

void pa_poison_records_deinit(struct pa_poison_records *records)
{
	pa_array_for_each(record, &records->list)
		pa_array_deinit(&record->raw);
	pa_array_deinit(&records->list);
}
