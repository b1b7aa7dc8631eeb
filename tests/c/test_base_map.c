// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/map.h"
#include "check.h"

#define NR 100000

int main(void)
{
	struct pa_map map = { 0 };
	uint64_t value = 7;

	CHECK(!pa_map_get(&map, 0, &value) && value == 7);
	/* Keys of any value, 0 and the largest among them. */
	for (uint64_t i = 0; i < NR; i++)
		CHECK_FATAL(pa_map_set(&map, (i - 1) << 12, i));
	CHECK(map.length == NR);
	for (uint64_t i = 0; i < NR; i++) {
		CHECK(pa_map_get(&map, (i - 1) << 12, &value) && value == i);
		CHECK(!pa_map_has(&map, ((i - 1) << 12) + 1));
	}
	CHECK(pa_map_set(&map, 0, 5) && map.length == NR);
	CHECK(pa_map_get(&map, 0, &value) && value == 5);
	pa_map_deinit(&map);
	CHECK(!pa_map_has(&map, 0));
	return CHECK_DONE();
}
