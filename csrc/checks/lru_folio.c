// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checks/lru_folio.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "census/handled.h"

struct pa_error *pa_lru_check_read(struct pa_lru_check *k, uint64_t pfn,
				   struct pa_lru_folio *ret)
{
	const struct pa_page_format *f = &k->c->kernel->page_format;
	const uint8_t *page;
	struct pa_lru_folio folio = { .pfn = pfn, .pfn_end = pfn };
	struct pa_error *err;

	*ret = folio;
	if (pfn == PA_NO_PFN)
		return NULL;
	folio.pfn_end = pfn + 1;
	*ret = folio;
	err = pa_memmap_page(k->c->memmap, pfn, 2, &page);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	folio.read = true;
	folio.flags = pa_page_flags(f, page);
	folio.next = pa_load_u64(page + f->lru);
	folio.prev = pa_load_u64(page + f->lru + 8);
	folio.mapping = pa_load_u64(page + f->mapping);
	folio.refcount = pa_page_refcount(f, page);
	folio.type = folio.flags & f->flag.slab ?
			     PA_PAGE_SLAB :
			     pa_page_type(f, pa_page_type_word(f, page));
	if (folio.flags & f->flag.head && !pa_page_is_tail(f, page)) {
		uint32_t order = pa_folio_order(f, page);

		if (order <= f->max_order)
			folio.pfn_end = pfn + PA_BIT(order);
	}
	err = pa_lru_folio_memcg(k->c->memmap->memory, &k->lru->lruvecs.format,
				 page, &folio.memcg);
	folio.memcg_known = !err;
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		err = NULL;
	}
	*ret = folio;
	return err;
}

static void add_memcg(struct pa_lru_check *k, struct pa_finding *f,
		      const char *key, uint64_t address)
{
	const struct pa_memcg *memcg = pa_memcg_find(&k->lru->memcgs, address);
	char path[128];

	if (!memcg) {
		pa_finding_text(f, key, "0x%" PRIx64 " (unknown)", address);
		return;
	}
	pa_memcg_path(k->c->memmap->memory, k->c->kernel->layout,
		      &k->lru->memcgs, memcg, path, sizeof(path));
	pa_finding_text(f, key, "0x%" PRIx64 " %s%s", address, path,
			memcg->online ? "" : " (removed)");
}

void pa_lru_check_add_folio(struct pa_lru_check *k, struct pa_finding *f,
			    const struct pa_lru_folio *folio)
{
	pa_auto_free char *flags = NULL;

	if (!folio->read)
		return;
	flags = pa_page_flags_string(&k->c->kernel->page_format, folio->flags);
	pa_finding_hex(f, "flags", folio->flags);
	pa_finding_text(f, "flag_names", "%s", flags ? flags : "");
	pa_finding_number(f, "refcount", (int32_t)folio->refcount);
	pa_finding_hex(f, "mapping", folio->mapping);
	pa_finding_hex(f, "lru_next", folio->next);
	pa_finding_hex(f, "lru_prev", folio->prev);
	if (k->lru->memcgs.enabled && folio->memcg_known && folio->memcg)
		add_memcg(k, f, "folio_memcg", folio->memcg);
}

void pa_lru_check_add_lruvec(struct pa_lru_check *k, struct pa_finding *f,
			     const struct pa_lruvec *lruvec)
{
	const struct pa_lruvec_format *format = &k->lru->lruvecs.format;

	pa_finding_hex(f, "lruvec", lruvec->address);
	if (lruvec->memcg >= 0)
		add_memcg(k, f, "lruvec_memcg",
			  k->lru->memcgs.list.items[lruvec->memcg].address);
	if (format->lock_in_lruvec || format->lock_in_node)
		pa_finding_text(f, "lru_lock", "%s",
				lruvec->locked ? "held" : "free");
}

bool pa_lru_check_is_handled(const struct pa_lru_check *k,
			     const struct pa_lru_folio *folio)
{
	const struct pa_census *census = k->c->census;

	return census->stacks_unread ||
	       (folio && folio->pfn != PA_NO_PFN &&
		pa_handled_find(census, folio->pfn, folio->pfn_end));
}

enum pa_severity pa_lru_check_severity(const struct pa_lru_check *k,
				       const struct pa_lruvec *lruvec,
				       const struct pa_lru_folio *folio)
{
	if (!lruvec || !lruvec->locked)
		return PA_BUG;
	return pa_lru_check_is_handled(k, folio) ||
			       (folio && folio->pfn != PA_NO_PFN &&
				pa_handled_find_lru(k->c->census, folio->pfn)) ?
		       PA_INFO :
		       PA_SUSPECT;
}

const struct pa_lruvec *pa_lru_check_lruvec(struct pa_lru_check *k,
					    const struct pa_lru_folio *folio)
{
	const struct pa_lruvecs *lruvecs = &k->lru->lruvecs;
	const struct pa_memcg *memcg = NULL;
	uint32_t node = pa_page_node(&k->c->kernel->page_format, folio->flags);
	int64_t index = -1;

	if (k->lru->memcgs.enabled) {
		memcg = folio->memcg ?
				pa_memcg_find(&k->lru->memcgs, folio->memcg) :
				k->lru->memcgs.list.items;
		if (!memcg)
			return NULL;
		index = memcg - k->lru->memcgs.list.items;
	}
	if (k->last && k->last->memcg == index && k->last->node == node)
		return k->last;
	for (size_t i = 0; i < lruvecs->list.length; i++) {
		const struct pa_lruvec *lruvec = &lruvecs->list.items[i];

		if (lruvec->memcg == index && lruvec->node == node) {
			k->last = lruvec;
			return lruvec;
		}
	}
	return NULL;
}
