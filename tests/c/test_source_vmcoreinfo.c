// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "check.h"
#include "source/elf_notes.h"
#include "source/vmcoreinfo.h"

static const char text[] = "OSRELEASE=6.1.0-1-amd64\n"
			   "EMPTY=\n"
			   "NOVALUE\n"
			   "SYMBOL(prb)=ffffffff82a5d7b8\n"
			   "SYMBOL(prb_not)=1\n"
			   "KERNELOFFSET=1a000000\n"
			   "SIZE(page)=64\n"
			   "NUMBER(PG_slab)=9\n"
			   "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
			   "NUMBER(phys_base)=-9223372036854775808\n"
			   "NUMBER(too_low)=-9223372036854775809\n"
			   "NUMBER(highest)=9223372036854775807\n"
			   "NUMBER(too_high)=9223372036854775808\n"
			   "NUMBER(trailing)=12x\n"
			   "NUMBER(blank)= 12\n"
			   "NUMBER(minus)=-\n"
			   "SYMBOL(overflow)=10000000000000000\n"
			   "SYMBOL(prefixed)=0x10\n"
			   "LENGTH(last)=5";

static void test_string(void)
{
	const char *value = NULL;
	size_t length = 7;

	CHECK(pa_vmcoreinfo_string(text, "OSRELEASE", &value, &length));
	CHECK(length == 13 && !memcmp(value, "6.1.0-1-amd64", 13));
	CHECK(pa_vmcoreinfo_string(text, "EMPTY", &value, &length));
	CHECK(length == 0);
	length = 7;
	CHECK(!pa_vmcoreinfo_string(text, "NOVALUE", &value, &length));
	CHECK(!pa_vmcoreinfo_string(text, "RELEASE", &value, &length));
	CHECK(!pa_vmcoreinfo_string(text, "OSRELEASE=6.1", &value, &length));
	CHECK(!pa_vmcoreinfo_string("", "OSRELEASE", &value, &length));
	CHECK(!pa_vmcoreinfo_string(NULL, "OSRELEASE", &value, &length));
	CHECK(length == 7);
}

static void test_number(void)
{
	int64_t n = 42;

	CHECK(pa_vmcoreinfo_number(text, "SIZE(page)", &n) && n == 64);
	CHECK(pa_vmcoreinfo_number(text, "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)",
				   &n) &&
	      n == -129);
	CHECK(pa_vmcoreinfo_number(text, "NUMBER(phys_base)", &n) &&
	      n == INT64_MIN);
	CHECK(pa_vmcoreinfo_number(text, "NUMBER(highest)", &n) &&
	      n == INT64_MAX);
	CHECK(pa_vmcoreinfo_number(text, "LENGTH(last)", &n) && n == 5);
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(too_low)", &n));
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(too_high)", &n));
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(trailing)", &n));
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(blank)", &n));
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(minus)", &n));
	CHECK(!pa_vmcoreinfo_number(text, "EMPTY", &n));
	CHECK(!pa_vmcoreinfo_number(text, "NUMBER(absent)", &n));
	CHECK(n == 5);
}

static void test_hex(void)
{
	uint64_t n = 42;

	CHECK(pa_vmcoreinfo_hex(text, "SYMBOL(prb)", &n) &&
	      n == 0xffffffff82a5d7b8);
	CHECK(pa_vmcoreinfo_hex(text, "KERNELOFFSET", &n) && n == 0x1a000000);
	n = 42;
	CHECK(!pa_vmcoreinfo_hex(text, "SYMBOL(overflow)", &n));
	CHECK(!pa_vmcoreinfo_hex(text, "SYMBOL(prefixed)", &n));
	CHECK(!pa_vmcoreinfo_hex(text, "SYMBOL(absent)", &n));
	CHECK(n == 42);
}

/* The note need not end in a newline, nor be all text. */
static void test_copy(void)
{
	char *copy = pa_vmcoreinfo_copy((const uint8_t *)"A=1\nB=2", 5);

	CHECK_FATAL(copy);
	CHECK(!strcmp(copy, "A=1\nB"));
	free(copy);
	copy = pa_vmcoreinfo_copy((const uint8_t *)"A=1\n\0\0\0", 7);
	CHECK_FATAL(copy);
	CHECK(!strcmp(copy, "A=1\n"));
	free(copy);
}

int main(void)
{
	test_string();
	test_number();
	test_hex();
	test_copy();
	return CHECK_DONE();
}
