// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "check.h"
#include "types/wanted.h"

static bool path_is(const char *id, const char *const *parts)
{
	struct pa_path_part part;
	const char *at = id;

	for (; *parts; parts++)
		if (!pa_member_path_next(&at, &part) ||
		    part.length != strlen(*parts) ||
		    strncmp(part.name, *parts, part.length))
			return false;
	return !pa_member_path_next(&at, &part);
}

#define PATH(id, ...) path_is(id, (const char *const[]){ __VA_ARGS__, NULL })

static void test_paths(void)
{
	CHECK(PATH("flags", "flags"));
	CHECK(PATH("name__release", "name", "release"));
	CHECK(PATH("a__b__c", "a", "b", "c"));
	/* Leading underscores are the name's. */
	CHECK(PATH("_refcount", "_refcount"));
	CHECK(PATH("__folio_index", "__folio_index"));
	CHECK(PATH("__a__b", "__a", "b"));
	CHECK(PATH("a____b", "a", "__b"));
	CHECK(PATH("a___b", "a", "_b"));
	CHECK(PATH("vm_stat_diff", "vm_stat_diff"));
	CHECK(PATH("a__", "a__"));
	CHECK(PATH("__", "__"));
}

static void test_names(void)
{
	char name[PA_MEMBER_NAME_MAX];

	CHECK(!strcmp(pa_type_names[PA_TYPE_page], "struct page"));
	CHECK(!strcmp(pa_type_names[PA_TYPE_atomic_t], "atomic_t"));
	CHECK(!strcmp(pa_member_name(PA_MEMBER_page__flags, name),
		      "page.flags"));
	CHECK(!strcmp(pa_member_name(PA_MEMBER_page____folio_index, name),
		      "page.__folio_index"));
	CHECK(!strcmp(pa_member_name(PA_MEMBER_uts_namespace__name__release,
				     name),
		      "uts_namespace.name.release"));
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		CHECK(strlen(pa_member_name(i, name)) < PA_MEMBER_NAME_MAX - 1);
	/* Who leaves something out says where that is known to happen. */
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		CHECK(pa_member_rows[i].note);
}

static void test_wanted(void)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	int nr_members = 0;

	CHECK_OK(pa_wanted_create(&wanted));
	for (int i = 0; i < PA_NR_TYPES; i++) {
		const char *name = pa_type_rows[i].name;

		CHECK(pa_wanted_find(wanted, PA_WANTED_TYPES, name) == i);
		for (int j = pa_wanted_first_member(wanted, i); j >= 0;
		     j = pa_wanted_next_member(wanted, j)) {
			CHECK(pa_member_rows[j].type == (enum pa_type_id)i);
			nr_members++;
		}
	}
	CHECK(nr_members == PA_NR_MEMBERS);
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		CHECK(pa_wanted_find(wanted, PA_WANTED_ENUMERATORS,
				     pa_enumerator_names[i]) == i);
	for (int i = 0; i < PA_NR_SYMBOLS; i++)
		CHECK(pa_wanted_find(wanted, PA_WANTED_SYMBOLS,
				     pa_symbol_names[i]) == i);
	CHECK(pa_wanted_find(wanted, PA_WANTED_TYPES, "") == -1);
	CHECK(pa_wanted_find(wanted, PA_WANTED_TYPES, "pag") == -1);
	CHECK(pa_wanted_find(wanted, PA_WANTED_TYPES, "pages") == -1);
	CHECK(pa_wanted_find(wanted, PA_WANTED_TYPES, "PG_lru") == -1);

	/* Of functions there may be clones, and parts. */
	int prb = pa_wanted_find(wanted, PA_WANTED_SYMBOLS, "prb");

	CHECK(pa_wanted_find_symbol(wanted, "prb") == prb);
	CHECK(pa_wanted_find_symbol(wanted, "prb.isra.0") == prb);
	CHECK(pa_wanted_find_symbol(wanted, "prb.constprop.12.isra.0") == prb);
	CHECK(pa_wanted_find_symbol(wanted, "prb.llvm.1234567890") == prb);
	CHECK(pa_wanted_find_symbol(wanted, "prb.llvm.12.cold") == -1);
	CHECK(pa_wanted_find_symbol(wanted, "prb.cold") == -1);
	CHECK(pa_wanted_find_symbol(wanted, "prb.isra.0.cold") == -1);
	CHECK(pa_wanted_find_symbol(wanted, "prb.part.0") == -1);
	CHECK(pa_wanted_find_symbol(wanted, "prb.3") == -1);
	CHECK(pa_wanted_find_symbol(wanted, ".isra.0") == -1);
	CHECK(pa_wanted_find_symbol(wanted, "") == -1);
	CHECK(pa_wanted_find_piece(wanted, "prb.cold") == prb);
	CHECK(pa_wanted_find_piece(wanted, "prb.isra.0.cold") == prb);
	CHECK(pa_wanted_find_piece(wanted, "prb.part.0") == prb);
	CHECK(pa_wanted_find_piece(wanted, "prb.isra.0") == -1);
	CHECK(pa_wanted_find_piece(wanted, "prb") == -1);
	CHECK(pa_wanted_find_piece(wanted, ".cold") == -1);
}

static void test_offers(void)
{
	static struct pa_layout layout;
	bool global = false;

	/* A global symbol wins, then the lowest. */
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 30, 3, false, &global);
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 20, 2, false, &global);
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 25, 2, false, &global);
	CHECK(PA_SYM(&layout, prb) == 20 && !global);
	CHECK(layout.symbols[PA_SYM_prb].size == 2);
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 40, 4, true, &global);
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 10, 1, false, &global);
	pa_layout_offer_symbol(&layout, PA_SYM_prb, 50, 5, true, &global);
	CHECK(PA_SYM(&layout, prb) == 40 && global);
	CHECK(layout.symbols[PA_SYM_prb].size == 4);

	/* The lowest pieces; those without a size are none. */
	for (uint64_t address = 70; address >= 10; address -= 10)
		pa_layout_offer_piece(&layout, PA_SYM_prb, address,
				      address == 20 ? 0 : 5);
	CHECK(layout.symbols[PA_SYM_prb].pieces[0].address == 10);
	CHECK(layout.symbols[PA_SYM_prb].pieces[1].address == 30);
	CHECK(layout.symbols[PA_SYM_prb].pieces[2].address == 40);
	CHECK(layout.symbols[PA_SYM_prb].pieces[2].size == 5);
	CHECK(PA_SYM(&layout, prb) == 40);

	pa_layout_offer_enumerator(&layout, PA_ENUM_PG_lru, 5);
	pa_layout_offer_enumerator(&layout, PA_ENUM_PG_lru, 4);
	pa_layout_offer_enumerator(&layout, PA_ENUM_PG_lru, 6);
	CHECK(PA_ENUM(&layout, PG_lru) == 4);
}

static void test_check(void)
{
	static struct pa_layout layout;
	struct pa_error *err = pa_layout_check(&layout);

	/* Nothing is known: some are named, the others counted. */
	CHECK_FATAL(err);
	CHECK(err->code == PA_ERROR_MISSING);
	CHECK(strstr(err->message, "struct page,"));
	CHECK(strstr(err->message, " more"));
	/* Members of a type that is missing are not. */
	CHECK(!strstr(err->message, "page.flags"));
	pa_error_destroy(err);

	for (int i = 0; i < PA_NR_TYPES; i++)
		layout.types[i].known = true;
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		layout.members[i].known = true;
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		layout.enumerators[i].known = true;
	for (int i = 0; i < PA_NR_SYMBOLS; i++)
		layout.symbols[i].known = true;
	CHECK_OK(pa_layout_check(&layout));

	layout.members[PA_MEMBER_folio__pgmap].known = false;
	CHECK_OK(pa_layout_check(&layout));
	layout.members[PA_MEMBER_uts_namespace__name__release].known = false;
	layout.symbols[PA_SYM_init_task].known = false;
	err = pa_layout_check(&layout);
	CHECK_FATAL(err);
	CHECK(!strcmp(err->message, "the kernel's type information lacks "
				    "uts_namespace.name.release, init_task"));
	pa_error_destroy(err);
}

int main(void)
{
	test_paths();
	test_names();
	test_wanted();
	test_offers();
	test_check();
	return CHECK_DONE();
}
