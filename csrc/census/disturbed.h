/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disturbed pages: those that one read of a running kernel found wrong. Most
 * only changed between two looks, and there are as many as change in that time.
 * So no read judges more than those that the one before found wrong, too. The
 * same holds for structures that could not be read, of which addresses are kept.
 */
#ifndef PA_CENSUS_DISTURBED_H
#define PA_CENSUS_DISTURBED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"

struct pa_disturbed {
	/* Heads of folios, and pages that slots name; or addresses. */
	PA_ARRAY(uint64_t) keys;
	/* There are more than are kept. */
	bool more;
};

/* False if out of memory. */
bool pa_disturbed_add(struct pa_disturbed *disturbed, uint64_t key);
bool pa_disturbed_extend(struct pa_disturbed *disturbed,
			 const struct pa_disturbed *other);
/* Sorts them; each is there once then. */
void pa_disturbed_settle(struct pa_disturbed *disturbed);
/* Of settled ones. */
bool pa_disturbed_has(const struct pa_disturbed *disturbed, uint64_t key);
void pa_disturbed_deinit(struct pa_disturbed *disturbed);

#endif
