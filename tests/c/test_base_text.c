// SPDX-License-Identifier: LGPL-2.1-or-later
/* Slices of text: what is taken off, and what is left alone. */
#include "base/text.h"

#include <string.h>

#include "check.h"

static struct pa_text text(const char *string)
{
	return pa_text(string, strlen(string));
}

static bool is(struct pa_text text, const char *string)
{
	return pa_text_length(text) == strlen(string) &&
	       memcmp(text.at, string, strlen(string)) == 0;
}

static void test_skip(void)
{
	struct pa_text at = text("pfn: 12");

	CHECK(!pa_text_skip(&at, "pfn: 123"));
	CHECK(!pa_text_skip(&at, "Pfn"));
	CHECK(is(at, "pfn: 12"));
	CHECK(pa_text_skip(&at, "pfn:") && is(at, " 12"));
	pa_text_skip_spaces(&at);
	CHECK(is(at, "12"));
	CHECK(pa_text_skip(&at, "12") && is(at, ""));
	CHECK(pa_text_skip(&at, "") && !pa_text_skip(&at, "1"));
	pa_text_skip_spaces(&at);
}

static void test_after(void)
{
	struct pa_text at = text("a:1 a:2 a:");

	CHECK(pa_text_after(text("a:1 a:2"), "a:", &at) && is(at, "1 a:2"));
	CHECK(pa_text_after_last(text("a:1 a:2"), "a:", &at) && is(at, "2"));
	CHECK(pa_text_after_last(text("aaa"), "a", &at) && is(at, ""));
	CHECK(!pa_text_after(text("a:1"), "b", &at) && is(at, ""));
	CHECK(!pa_text_after_last(text(""), "b", &at));
}

static void test_numbers(void)
{
	static const struct {
		const char *string;
		int base;
		bool ok;
		uint64_t value;
		const char *rest;
	} numbers[] = {
		{ "12", 10, true, 12, "" },
		{ "12:", 10, true, 12, ":" },
		{ "12a", 10, false, 0, "" },
		{ "-1", 10, false, 0, "" },
		{ "", 10, false, 0, "" },
		{ "18446744073709551615", 10, true, UINT64_MAX, "" },
		{ "18446744073709551616", 10, false, 0, "" },
		{ "fF)", 16, true, 255, ")" },
		{ "ffffffffffffffff", 16, true, UINT64_MAX, "" },
		{ "10000000000000000", 16, false, 0, "" },
		{ "12_", 16, false, 0, "" },
		{ "12g", 16, false, 0, "" },
		{ "0x12", 16, false, 0, "" },
		{ "0x12 3", 0, true, 0x12, " 3" },
		{ "0x", 0, false, 0, "" },
		{ "12", 0, false, 0, "" },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct pa_text at = text(numbers[i].string);
		uint64_t value = 0;
		bool ok = numbers[i].base == 10 ? pa_text_decimal(&at, &value) :
			  numbers[i].base == 16 ? pa_text_hex(&at, &value) :
						  pa_text_0x(&at, &value);

		CHECK(ok == numbers[i].ok);
		CHECK(!ok || value == numbers[i].value);
		CHECK(is(at, ok ? numbers[i].rest : numbers[i].string));
	}
}

static void test_lines(void)
{
	struct pa_text at = text("one\n\ntwo"), line;

	CHECK(pa_text_line(&at, &line) && is(line, "one"));
	CHECK(pa_text_line(&at, &line) && is(line, ""));
	CHECK(pa_text_line(&at, &line) && is(line, "two"));
	CHECK(!pa_text_line(&at, &line));
	at = text("one\n");
	CHECK(pa_text_line(&at, &line) && is(line, "one"));
	CHECK(!pa_text_line(&at, &line));
}

static void test_copy(void)
{
	char buffer[4];

	pa_text_copy(text("abcdef"), buffer, sizeof(buffer));
	CHECK(!strcmp(buffer, "abc"));
	pa_text_copy(text(""), buffer, sizeof(buffer));
	CHECK(!strcmp(buffer, ""));
}

static void test_printable(void)
{
	char string[] = "kworker/0:1\033[2J\n\xff~ x";

	pa_text_make_printable(string);
	CHECK(!strcmp(string, "kworker/0:1?[2J??~ x"));
}

int main(void)
{
	test_skip();
	test_after();
	test_numbers();
	test_lines();
	test_copy();
	test_printable();
	return CHECK_DONE();
}
