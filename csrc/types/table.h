/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* types/table.def as data: for messages, the binding, docs and tests. */
#ifndef PA_TYPES_TABLE_H
#define PA_TYPES_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "types/layout.h"

enum pa_need { PA_NEED_REQUIRED, PA_NEED_OPTIONAL };

enum pa_type_kind { PA_KIND_struct, PA_KIND_union, PA_KIND_typedef };

struct pa_type_row {
	/* Without "struct" or "union". */
	const char *name;
	enum pa_type_kind kind;
	enum pa_need need;
	const char *note;
};

struct pa_member_row {
	enum pa_type_id type;
	/* As the table spells it: "name__release". */
	const char *id;
	enum pa_need need;
	const char *note;
};

struct pa_name_row {
	const char *name;
	enum pa_need need;
	const char *note;
};

extern const struct pa_type_row pa_type_rows[PA_NR_TYPES];
extern const struct pa_member_row pa_member_rows[PA_NR_MEMBERS];
extern const struct pa_name_row pa_enumerator_rows[PA_NR_ENUMERATORS];
extern const struct pa_name_row pa_symbol_rows[PA_NR_SYMBOLS];

/* A component of a member's path; not NUL-terminated. */
struct pa_path_part {
	const char *name;
	size_t length;
};

/*
 * The next component of the path that the table spells with two underscores
 * for each dot; false at its end. Start with *@at at the member's id. Leading
 * underscores belong to the component: "a____b" is a.__b.
 */
bool pa_member_path_next(const char **at, struct pa_path_part *ret);

/* Long enough for any "type.member.member" of the table. */
#define PA_MEMBER_NAME_MAX 128

/* "uts_namespace.name.release" into @buffer, which is returned. */
const char *pa_member_name(enum pa_member_id id,
			   char buffer[PA_MEMBER_NAME_MAX]);

#endif
