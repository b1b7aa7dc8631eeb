// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/layout.h"

#include <stdio.h>
#include <string.h>

#include "types/table.h"

#define PA_NAME_OF_struct "struct "
#define PA_NAME_OF_union "union "
#define PA_NAME_OF_typedef ""

const char *const pa_type_names[PA_NR_TYPES] = {
#define PA_TYPE(id, kind, need, note) PA_NAME_OF_##kind #id,
#include "types/table.def"
};

const char *const pa_member_names[PA_NR_MEMBERS] = {
#define PA_MEMBER(type, id, need, note) #type "." #id,
#include "types/table.def"
};

const char *const pa_enumerator_names[PA_NR_ENUMERATORS] = {
#define PA_ENUMERATOR(id, need, note) #id,
#include "types/table.def"
};

const char *const pa_symbol_names[PA_NR_SYMBOLS] = {
#define PA_SYMBOL(id, need, note) #id,
#include "types/table.def"
};

const struct pa_type_row pa_type_rows[PA_NR_TYPES] = {
#define PA_TYPE(id, kind, need, note) \
	{ #id, PA_KIND_##kind, PA_NEED_##need, note },
#include "types/table.def"
};

const struct pa_member_row pa_member_rows[PA_NR_MEMBERS] = {
#define PA_MEMBER(type, id, need, note) \
	{ PA_TYPE_##type, #id, PA_NEED_##need, note },
#include "types/table.def"
};

const struct pa_name_row pa_enumerator_rows[PA_NR_ENUMERATORS] = {
#define PA_ENUMERATOR(id, need, note) { #id, PA_NEED_##need, note },
#include "types/table.def"
};

const struct pa_name_row pa_symbol_rows[PA_NR_SYMBOLS] = {
#define PA_SYMBOL(id, need, note) { #id, PA_NEED_##need, note },
#include "types/table.def"
};

bool pa_member_path_next(const char **at, struct pa_path_part *ret)
{
	const char *name = *at;

	if (!*name)
		return false;

	const char *end = name + strspn(name, "_");

	end = strstr(end, "__");
	if (end && end[2]) {
		ret->length = (size_t)(end - name);
		*at = end + 2;
	} else {
		ret->length = strlen(name);
		*at = name + ret->length;
	}
	ret->name = name;
	return true;
}

const char *pa_member_name(enum pa_member_id id,
			   char buffer[PA_MEMBER_NAME_MAX])
{
	const struct pa_member_row *row = &pa_member_rows[id];
	const char *at = row->id;
	struct pa_path_part part;
	int used = snprintf(buffer, PA_MEMBER_NAME_MAX, "%s",
			    pa_type_rows[row->type].name);

	while (used < PA_MEMBER_NAME_MAX && pa_member_path_next(&at, &part))
		used += snprintf(buffer + used,
				 (size_t)(PA_MEMBER_NAME_MAX - used), ".%.*s",
				 (int)part.length, part.name);
	return buffer;
}

/* Collects names for one sentence, and counts those that don't fit. */
struct missing {
	char names[512];
	size_t used;
	unsigned int shown;
	unsigned int more;
};

static void missing_add(struct missing *missing, const char *name)
{
	size_t room = sizeof(missing->names) - missing->used;
	size_t length = strlen(name) + 2;

	/* Once one is left out all are: the count then follows the names. */
	if (missing->more || length >= room) {
		missing->more++;
		return;
	}
	snprintf(missing->names + missing->used, room, "%s%s",
		 missing->used ? ", " : "", name);
	missing->used = strlen(missing->names);
	missing->shown++;
}

struct pa_error *pa_layout_check(const struct pa_layout *layout)
{
	struct missing missing = {};
	char name[PA_MEMBER_NAME_MAX];

	for (int i = 0; i < PA_NR_TYPES; i++)
		if (!layout->types[i].known &&
		    pa_type_rows[i].need == PA_NEED_REQUIRED)
			missing_add(&missing, pa_type_names[i]);
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		/* That a type is missing says it for its members. */
		if (!layout->members[i].known &&
		    pa_member_rows[i].need == PA_NEED_REQUIRED &&
		    layout->types[pa_member_rows[i].type].known)
			missing_add(&missing, pa_member_name(i, name));
	for (int i = 0; i < PA_NR_ENUMERATORS; i++)
		if (!layout->enumerators[i].known &&
		    pa_enumerator_rows[i].need == PA_NEED_REQUIRED)
			missing_add(&missing, pa_enumerator_names[i]);
	for (int i = 0; i < PA_NR_SYMBOLS; i++)
		if (!layout->symbols[i].known &&
		    pa_symbol_rows[i].need == PA_NEED_REQUIRED)
			missing_add(&missing, pa_symbol_names[i]);
	if (!missing.shown)
		return NULL;
	if (missing.more)
		return pa_error_create(
			PA_ERROR_MISSING,
			"the kernel's type information lacks %s and %u more",
			missing.names, missing.more);
	return pa_error_create(PA_ERROR_MISSING,
			       "the kernel's type information lacks %s",
			       missing.names);
}
