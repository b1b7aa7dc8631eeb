/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages on their way out of a balloon: include/linux/balloon_compaction.h. */
#ifndef PA_CHECKS_ZONE_BALLOON_H
#define PA_CHECKS_ZONE_BALLOON_H

#include "checks/check.h"

/*
 * How many of @zone's pages are on lists that begin on tasks' stacks.
 * balloon_page_dequeue() takes PageOffline() off each, leak_balloon() keeps them
 * on such a list and sleeps until the host was told (tell_host()), and then only
 * release_pages_balloon() makes them managed pages again, one after the other.
 */
uint64_t pa_balloon_released(const struct pa_check_context *c,
			     const struct pa_zone *zone);

#endif
