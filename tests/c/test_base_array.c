// SPDX-License-Identifier: LGPL-2.1-or-later
/* Searches in sorted arrays, held against a look at each element. */
#include "base/array.h"

#include "check.h"

static size_t count_below(const int *items, size_t nr, int value)
{
	size_t below = 0;

	for (size_t i = 0; i < nr; i++)
		below += items[i] < value;
	return below;
}

static void test_bisect(void)
{
	static const int items[] = { -7, 0, 0, 3, 3, 3, 4, 9, 9, 12 };
	const int *none = NULL;

	for (size_t nr = 0; nr <= sizeof(items) / sizeof(items[0]); nr++)
		for (int value = -9; value < 15; value++)
			CHECK(pa_bisect(items, nr, it, *it < value) ==
			      count_below(items, nr, value));
	CHECK(pa_bisect(none, 0, it, *it < 1) == 0);
}

int main(void)
{
	test_bisect();
	return CHECK_DONE();
}
