// SPDX-License-Identifier: LGPL-2.1-or-later
/* Disturbed pages: a set that grows in any order and is then only asked. */
#include "census/disturbed.h"
#include "check.h"

#define LIMIT (UINT64_C(1) << 22)

static void test_set(void)
{
	static const uint64_t pfns[] = { 7, 3, 7, 1, UINT64_MAX, 3 };
	struct pa_disturbed some = {}, all = {};

	CHECK(!pa_disturbed_has(&all, 0));
	pa_disturbed_settle(&all);
	for (int i = 0; i < 6; i++)
		CHECK(pa_disturbed_add(&some, pfns[i]));
	CHECK(pa_disturbed_add(&all, 2));
	CHECK(pa_disturbed_extend(&all, &some));
	pa_disturbed_settle(&all);
	CHECK(all.keys.length == 5);
	for (int i = 0; i < 6; i++)
		CHECK(pa_disturbed_has(&all, pfns[i]));
	CHECK(pa_disturbed_has(&all, 2));
	CHECK(!pa_disturbed_has(&all, 0));
	CHECK(!pa_disturbed_has(&all, 4));
	CHECK(!pa_disturbed_has(&all, 8));
	CHECK(!all.more);
	pa_disturbed_deinit(&some);
	pa_disturbed_deinit(&all);
}

/* There is an end of them, and that is told. */
static void test_limit(void)
{
	struct pa_disturbed all = {}, sum = {};

	for (uint64_t i = 0; i < LIMIT; i++)
		CHECK_FATAL(pa_disturbed_add(&all, i));
	CHECK(!all.more);
	CHECK(pa_disturbed_add(&all, LIMIT));
	CHECK(all.more);
	CHECK(all.keys.length == LIMIT);
	CHECK(pa_disturbed_extend(&sum, &all));
	CHECK(sum.more);
	pa_disturbed_deinit(&all);
	pa_disturbed_deinit(&sum);
}

int main(void)
{
	test_set();
	test_limit();
	return CHECK_DONE();
}
