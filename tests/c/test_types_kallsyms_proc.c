// SPDX-License-Identifier: LGPL-2.1-or-later
/* /proc/kallsyms: lines as kernels write them, and others. */
#include "types/kallsyms_proc.h"

#include <string.h>

#include "check.h"

static struct pa_error *parse(const char *text, struct pa_kallsyms **ret)
{
	FILE *file = fmemopen((char *)text, strlen(text), "r");
	struct pa_error *err;

	CHECK_FATAL(file);
	err = pa_kallsyms_from_text(file, ret);
	fclose(file);
	return err;
}

static uint64_t address_of(const struct pa_kallsyms *kallsyms, const char *name)
{
	uint64_t address;

	return pa_kallsyms_find_name(kallsyms, name, &address) ? address : 1;
}

static void test_lines(void)
{
	struct pa_kallsyms *kallsyms;
	struct pa_symbol_at at;

	CHECK_OK(parse("0000000000000000 A fixed_percpu_data\n"
		       "0000000000014180 A current_task\n"
		       "ffffffff88e00000 T _stext\n"
		       "ffffffff88e00000 T _text\n"
		       "ffffffff88e00040 t do.cold\n"
		       "ffffffffc0000000 t _stext\t[module]\n"
		       "ffffffffc0000010 t bpf_prog_1\t[bpf]\n",
		       &kallsyms));
	CHECK(pa_kallsyms_count(kallsyms) == 5);
	CHECK(address_of(kallsyms, "fixed_percpu_data") == 0);
	CHECK(address_of(kallsyms, "current_task") == 0x14180);
	CHECK(address_of(kallsyms, "_stext") == UINT64_C(0xffffffff88e00000));
	CHECK(address_of(kallsyms, "do.cold") == UINT64_C(0xffffffff88e00040));
	CHECK(address_of(kallsyms, "bpf_prog_1") == 1);
	CHECK_FATAL(pa_kallsyms_find_address(
		kallsyms, UINT64_C(0xffffffff88e00044), &at));
	CHECK(!strcmp(at.name, "do.cold") && at.offset == 4);
	pa_kallsyms_destroy(kallsyms);
}

static void test_long_names(void)
{
	struct pa_kallsyms *kallsyms;
	char line[1024], name[301];

	/* From 128 letters on, with that of its type, two bytes say how many. */
	for (size_t length = 125; length < 131; length++) {
		memset(name, 'n', length);
		name[length] = '\0';
		snprintf(line, sizeof(line),
			 "ffffffff81000000 T %s\nffffffff81000010 T x\n", name);
		CHECK_OK(parse(line, &kallsyms));
		CHECK(address_of(kallsyms, name) ==
		      UINT64_C(0xffffffff81000000));
		CHECK(address_of(kallsyms, "x") ==
		      UINT64_C(0xffffffff81000010));
		pa_kallsyms_destroy(kallsyms);
	}
	memset(name, 'n', 300);
	name[300] = '\0';
	snprintf(line, sizeof(line), "ffffffff81000000 T %s", name);
	CHECK_OK(parse(line, &kallsyms));
	CHECK(address_of(kallsyms, name) == UINT64_C(0xffffffff81000000));
	pa_kallsyms_destroy(kallsyms);
}

static void test_hidden(void)
{
	struct pa_kallsyms *kallsyms;

	CHECK_ERROR(PA_ERROR_MISSING, parse("0000000000000000 T _stext\n"
					    "0000000000000000 T _text\n",
					    &kallsyms));
}

static void test_damaged(void)
{
	static const char *const texts[] = {
		"no symbol\n",
		"ffffffff81000000\n",
		"ffffffff81000000 T\n",
		"ffffffff81000000 Tx _text\n",
		"ffffffff81000000 T _text\n\n",
	};
	struct pa_kallsyms *kallsyms;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK_ERROR(PA_ERROR_FORMAT, parse(texts[i], &kallsyms));
	/* Nobody there. */
	CHECK_ERROR(PA_ERROR_MISSING, parse("", &kallsyms));
	/* A symbol without a name is none. */
	CHECK_OK(parse("ffffffff81000000 T \nffffffff81000000 T a\n",
		       &kallsyms));
	CHECK(pa_kallsyms_count(kallsyms) == 1);
	pa_kallsyms_destroy(kallsyms);
}

/* What runs this test is no kernel that it has a note of. */
static void test_another_kernel(void)
{
	static char note[] = "OSRELEASE=6.1.0\n"
			     "SYMBOL(_stext)=ffffffff81234567\n";
	struct pa_source_info info = { .vmcoreinfo = note };
	struct pa_kallsyms *kallsyms;

	CHECK_ERROR(PA_ERROR_MISSING, pa_kallsyms_from_proc(&info, &kallsyms));
	info.vmcoreinfo = NULL;
	CHECK_ERROR(PA_ERROR_MISSING, pa_kallsyms_from_proc(&info, &kallsyms));
}

int main(void)
{
	test_lines();
	test_long_names();
	test_hidden();
	test_damaged();
	test_another_kernel();
	return CHECK_DONE();
}
