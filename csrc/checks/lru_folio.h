/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru-structure's folios: where they should be, who has them, what is said of them. */
#ifndef PA_CHECKS_LRU_FOLIO_H
#define PA_CHECKS_LRU_FOLIO_H

#include "census/lru.h"
#include "census/private_list.h"
#include "checks/check.h"

/* One run of the check. */
struct pa_lru_check {
	struct pa_check_context *c;
	const struct pa_lru_census *lru;
	/* By index in lruvecs.lists: unlisted folios that a break explains. */
	uint64_t *unreached;
	/* Folios on no list: reported, beyond the limit, not to be judged. */
	uint64_t unlisted, unlisted_more, unknown;
	/* The lruvec last found. */
	const struct pa_lruvec *last;
	struct pa_private_lists lists;
};

/* What the reports say of one folio; all of it is optional. */
struct pa_lru_folio {
	uint64_t pfn, pfn_end;
	bool read;
	uint64_t flags, next, prev, mapping;
	uint32_t refcount;
	enum pa_page_type type;
	uint64_t memcg;
	bool memcg_known;
};

/* Reads @pfn (PA_NO_PFN: none) as far as it can be read. */
struct pa_error *pa_lru_check_read(struct pa_lru_check *k, uint64_t pfn,
				   struct pa_lru_folio *ret);

/* Evidence of @f: a folio's, and that of the lruvec whose list it is about. */
void pa_lru_check_add_folio(struct pa_lru_check *k, struct pa_finding *f,
			    const struct pa_lru_folio *folio);
void pa_lru_check_add_lruvec(struct pa_lru_check *k, struct pa_finding *f,
			     const struct pa_lruvec *lruvec);

/* Somebody has the folio (or NULL) in hand, or that can't be told. */
bool pa_lru_check_is_handled(const struct pa_lru_check *k,
			     const struct pa_lru_folio *folio);

/*
 * With the lock of @lruvec (or NULL) held the list may be in the middle of a
 * change: it is, where somebody has that folio (or NULL) in hand.
 */
enum pa_severity pa_lru_check_severity(const struct pa_lru_check *k,
				       const struct pa_lruvec *lruvec,
				       const struct pa_lru_folio *folio);

/*
 * folio_lruvec(): by what the folio is charged to, and its node; NULL: there is
 * no such one.
 */
const struct pa_lruvec *pa_lru_check_lruvec(struct pa_lru_check *k,
					    const struct pa_lru_folio *folio);

/* All folios with PG_lru that no list had: lru_unlisted.c. */
struct pa_error *pa_lru_check_unlisted(struct pa_lru_check *k,
				       struct pa_check_result *result);

#endif
