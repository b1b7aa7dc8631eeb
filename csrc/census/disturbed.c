// SPDX-License-Identifier: LGPL-2.1-or-later
#include "census/disturbed.h"

#include "base/bits.h"

/* 32 MiB: where more is wrong at a time, it is no matter of pages. */
#define MAX_KEYS PA_BIT(22)

bool pa_disturbed_add(struct pa_disturbed *disturbed, uint64_t key)
{
	if (disturbed->keys.length < MAX_KEYS)
		return pa_array_append(&disturbed->keys, key);
	disturbed->more = true;
	return true;
}

bool pa_disturbed_extend(struct pa_disturbed *disturbed,
			 const struct pa_disturbed *other)
{
	disturbed->more |= other->more;
	pa_array_for_each(key, &other->keys)
		if (!pa_disturbed_add(disturbed, *key))
			return false;
	return true;
}

void pa_disturbed_settle(struct pa_disturbed *disturbed)
{
	size_t nr = 0;

	if (disturbed->keys.length)
		qsort(disturbed->keys.items, disturbed->keys.length,
		      sizeof(*disturbed->keys.items), pa_compare_u64);
	pa_array_for_each(key, &disturbed->keys)
		if (!nr || disturbed->keys.items[nr - 1] != *key)
			disturbed->keys.items[nr++] = *key;
	disturbed->keys.length = nr;
}

bool pa_disturbed_has(const struct pa_disturbed *disturbed, uint64_t key)
{
	return disturbed->keys.length &&
	       bsearch(&key, disturbed->keys.items, disturbed->keys.length,
		       sizeof(key), pa_compare_u64);
}

void pa_disturbed_deinit(struct pa_disturbed *disturbed)
{
	pa_array_deinit(&disturbed->keys);
}
