// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/map.h"

#include <stdlib.h>

#define MIN_CAPACITY 16

/* Page frame numbers and addresses differ in few bits: spread them. */
static uint64_t spread(uint64_t key)
{
	key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
	return key ^ key >> 31;
}

/* Where @key is, or goes; there is always a free slot. */
static struct pa_map_slot *find_slot(struct pa_map_slot *slots, size_t capacity,
				     uint64_t key)
{
	size_t at = spread(key) & (capacity - 1);

	while (slots[at].used && slots[at].key != key)
		at = (at + 1) & (capacity - 1);
	return &slots[at];
}

static bool grow(struct pa_map *map)
{
	size_t capacity = map->capacity ? map->capacity * 2 : MIN_CAPACITY;
	struct pa_map_slot *slots = calloc(capacity, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].used)
			*find_slot(slots, capacity, map->slots[i].key) =
				map->slots[i];
	free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	return true;
}

bool pa_map_set(struct pa_map *map, uint64_t key, uint64_t value)
{
	struct pa_map_slot *slot;

	if (map->length >= map->capacity / 2 && !grow(map))
		return false;
	slot = find_slot(map->slots, map->capacity, key);
	map->length += !slot->used;
	*slot = (struct pa_map_slot){ .key = key,
				      .value = value,
				      .used = true };
	return true;
}

bool pa_map_get(const struct pa_map *map, uint64_t key, uint64_t *ret)
{
	const struct pa_map_slot *slot;

	if (!map->capacity)
		return false;
	slot = find_slot(map->slots, map->capacity, key);
	if (slot->used)
		*ret = slot->value;
	return slot->used;
}

void pa_map_deinit(struct pa_map *map)
{
	free(map->slots);
	*map = (struct pa_map){ 0 };
}
