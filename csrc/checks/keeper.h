/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keepers: whoever takes references that no holder shows, and whose doing a
 * folio's own state tells of. It may be a leak all the same.
 */
#ifndef PA_CHECKS_KEEPER_H
#define PA_CHECKS_KEEPER_H

#include "census/counts.h"
#include "census/place.h"
#include "checks/check.h"

/* The objects that name a folio, as far as they are in use. */
struct pa_namers {
	/* page->private of a folio with PG_private; 0: none. */
	uint64_t private;
	/* Words of objects and arrays that point to it. */
	uint64_t words;
	/* One of these is in the object that private points to. */
	bool attached;
};

/* Begins: of @d's folio, which nothing is known to name. */
struct pa_error *pa_namers_init(struct pa_check_context *context,
				const struct pa_discrepancy *d,
				struct pa_namers *ret);

/* Adds a word of an encoding that is strong, at @place. */
void pa_namers_add(struct pa_namers *namers, const struct pa_place *place);

/*
 * Who may have the references that @d's folio has too many, for people; NULL
 * where nothing says so.
 */
struct pa_error *pa_keeper_find(struct pa_check_context *context,
				const struct pa_discrepancy *d,
				const struct pa_namers *namers,
				const char **ret);

#endif
