/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A map from one 64-bit number to another: what a loop over all of something
 * asks for each of something else. Zero to initialise, pa_map_deinit() to free.
 */
#ifndef PA_BASE_MAP_H
#define PA_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pa_map_slot {
	uint64_t key, value;
	bool used;
};

struct pa_map {
	struct pa_map_slot *slots;
	/* A power of two, or 0. */
	size_t capacity;
	size_t length;
};

/* Sets @key's value, also where it has one; false if out of memory. */
bool pa_map_set(struct pa_map *map, uint64_t key, uint64_t value);

/* False if @key has no value. */
bool pa_map_get(const struct pa_map *map, uint64_t key, uint64_t *ret);

void pa_map_deinit(struct pa_map *map);

static inline bool pa_map_has(const struct pa_map *map, uint64_t key)
{
	uint64_t value;

	return pa_map_get(map, key, &value);
}

#endif
