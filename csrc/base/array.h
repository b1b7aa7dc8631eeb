/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growable arrays of any element type: declare with PA_ARRAY(type), zero to
 * initialise, pa_array_deinit() to free. Elements move when an array grows, so
 * a pointer to one is borrowed until the next append.
 */
#ifndef PA_BASE_ARRAY_H
#define PA_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define PA_ARRAY(type)           \
	struct {                 \
		type *items;     \
		size_t length;   \
		size_t capacity; \
	}

/* Makes room for @extra more elements; false if out of memory. */
static inline bool pa_array_reserve_bytes(void **items, size_t length,
					  size_t *capacity, size_t extra,
					  size_t size)
{
	size_t wanted;

	if (__builtin_add_overflow(length, extra, &wanted))
		return false;
	if (wanted <= *capacity)
		return true;

	size_t grown = *capacity + *capacity / 2 + 8;

	if (grown < wanted)
		grown = wanted;

	size_t bytes;

	if (__builtin_mul_overflow(grown, size, &bytes))
		return false;

	void *moved = realloc(*items, bytes);

	if (!moved)
		return false;
	*items = moved;
	*capacity = grown;
	return true;
}

#define pa_array_reserve(array, extra)                                  \
	({                                                              \
		void *pa_items = (array)->items;                        \
		bool pa_ok = pa_array_reserve_bytes(                    \
			&pa_items, (array)->length, &(array)->capacity, \
			(extra), sizeof(*(array)->items));              \
		(array)->items = pa_items;                              \
		pa_ok;                                                  \
	})

/* Appends @value; false if out of memory. */
#define pa_array_append(array, ...)                                        \
	({                                                                 \
		bool pa_appended = pa_array_reserve(array, 1);             \
		if (pa_appended)                                           \
			(array)->items[(array)->length++] = (__VA_ARGS__); \
		pa_appended;                                               \
	})

/* Appends all of @other's elements; false if out of memory. */
#define pa_array_extend(array, other)                                         \
	({                                                                    \
		bool pa_extended = pa_array_reserve(array, (other)->length);  \
		if (pa_extended)                                              \
			for (size_t pa_i = 0; pa_i < (other)->length; pa_i++) \
				(array)->items[(array)->length++] =           \
					(other)->items[pa_i];                 \
		pa_extended;                                                  \
	})

#define pa_array_deinit(array)         \
	do {                           \
		free((array)->items);  \
		(array)->items = NULL; \
		(array)->length = 0;   \
		(array)->capacity = 0; \
	} while (0)

/*
 * How many of a sorted array's first @nr elements come before what is looked
 * for: the index of the first for which @before, an expression of the pointer
 * @it, does not hold. @items may be NULL if @nr is 0.
 */
#define pa_bisect(items, nr, it, before)                                    \
	({                                                                  \
		size_t pa_low = 0, pa_high = (nr);                          \
		while (pa_low < pa_high) {                                  \
			size_t pa_middle = pa_low + (pa_high - pa_low) / 2; \
			__auto_type it = &(items)[pa_middle];               \
			if (before)                                         \
				pa_low = pa_middle + 1;                     \
			else                                                \
				pa_high = pa_middle;                        \
		}                                                           \
		pa_low;                                                     \
	})

/* An empty array's items may be NULL, to which nothing is added. */
#define pa_array_for_each(item, array)                                   \
	for (__auto_type item = (array)->items;                          \
	     (array)->length && item < (array)->items + (array)->length; \
	     item++)

#endif
