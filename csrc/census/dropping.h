/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks in the middle of dropping a batch's references: release_pages() and
 * folios_put_refs() take one after the other, and the batch is emptied after
 * that. Its slots may have lost their references or not.
 */
#ifndef PA_CENSUS_DROPPING_H
#define PA_CENSUS_DROPPING_H

#include "census/census.h"

struct pa_dropping {
	/* Virtual addresses of their task_structs, sorted. */
	PA_ARRAY(uint64_t) tasks;
};

/* @ret is zeroed before. */
struct pa_error *pa_dropping_find(const struct pa_census *census,
				  struct pa_dropping *ret);
void pa_dropping_deinit(struct pa_dropping *dropping);

bool pa_dropping_has(const struct pa_dropping *dropping, uint64_t task);

#endif
