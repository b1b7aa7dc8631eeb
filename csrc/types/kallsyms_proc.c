// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/kallsyms_proc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/bits.h"

#define PROC_KALLSYMS "/proc/kallsyms"
/* Of any kernel; a name's length has 14 bits. */
#define MAX_NAME ((size_t)PA_MASK(14))

/* Tables as the kernel's own, but that each token is a letter. */
struct text {
	PA_ARRAY(uint64_t) addresses;
	PA_ARRAY(uint8_t) names;
	/* Of any symbol: they are not hidden. */
	bool has_addresses;
};

static void text_deinit(struct text *text)
{
	pa_array_deinit(&text->addresses);
	pa_array_deinit(&text->names);
}

#define auto_text pa_cleanup(text_deinit)

static bool append_name(struct text *text, const char *name, size_t length)
{
	bool ok = length < 128 ?
			  pa_array_append(&text->names, (uint8_t)length) :
			  pa_array_append(&text->names,
					  (uint8_t)(length | 128)) &&
				  pa_array_append(&text->names,
						  (uint8_t)(length >> 7));

	for (size_t i = 0; ok && i < length; i++)
		ok = pa_array_append(&text->names, (uint8_t)name[i]);
	return ok;
}

/* "ffffffffc0000000 t function\t[module]" */
static struct pa_error *add_line(struct text *text, char *line)
{
	char *end;
	uint64_t address = strtoull(line, &end, 16);
	char *name = end + 3;
	size_t length;

	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ')
		return pa_error_create(PA_ERROR_FORMAT, PROC_KALLSYMS
				       " has a line that is no symbol");
	length = strcspn(name, "\t\n");
	if (name[length] == '\t' || !length || length >= MAX_NAME)
		return NULL;
	/* The letter of its type comes before the name. */
	name[-1] = end[1];
	text->has_addresses |= address;
	if (text->addresses.length >= PA_KALLSYMS_MAX)
		return pa_error_create(PA_ERROR_FORMAT,
				       PROC_KALLSYMS " has no end");
	if (!pa_array_append(&text->addresses, address) ||
	    !append_name(text, name - 1, length + 1))
		return &pa_error_no_memory;
	return NULL;
}

static struct pa_error *create(const struct text *text,
			       struct pa_kallsyms **ret)
{
	uint8_t token_table[2 * 256], token_index[2 * 256];
	struct pa_kallsyms_tables tables = {
		.form = PA_KALLSYMS_ADDRESSES,
		.nr_symbols = (uint32_t)text->addresses.length,
		.offsets = (const uint8_t *)text->addresses.items,
		.offsets_length = 8 * text->addresses.length,
		.names = text->names.items,
		.names_length = text->names.length,
		.token_table = token_table,
		.token_table_length = sizeof(token_table),
		.token_index = token_index,
		.token_index_length = sizeof(token_index),
	};

	for (unsigned int i = 0; i < 256; i++) {
		uint16_t at = (uint16_t)(2 * i);

		token_table[at] = (uint8_t)i;
		token_table[at + 1] = 0;
		memcpy(token_index + at, &at, sizeof(at));
	}
	return pa_kallsyms_create(&tables, ret);
}

struct pa_error *pa_kallsyms_from_text(FILE *file, struct pa_kallsyms **ret)
{
	auto_text struct text text = { 0 };
	pa_auto_free char *line = NULL;
	struct pa_error *err = NULL;
	size_t size = 0;

	while (!err && getline(&line, &size, file) >= 0)
		err = add_line(&text, line);
	if (!err && ferror(file))
		err = pa_error_create(PA_ERROR_MISSING,
				      PROC_KALLSYMS " could not be read");
	if (!err && !text.has_addresses)
		err = pa_error_create(
			PA_ERROR_MISSING,
			"the kernel hides the addresses of its symbols in " PROC_KALLSYMS
			" (see kptr_restrict; CAP_SYSLOG shows them)");
	return err ? err : create(&text, ret);
}

struct pa_error *pa_kallsyms_from_proc(const struct pa_source_info *info,
				       struct pa_kallsyms **ret)
{
	pa_auto_kallsyms struct pa_kallsyms *kallsyms = NULL;
	FILE *file = fopen(PROC_KALLSYMS, "re");
	struct pa_error *err;

	if (!file)
		return pa_error_create(PA_ERROR_MISSING,
				       "there is no " PROC_KALLSYMS);
	err = pa_kallsyms_from_text(file, &kallsyms);
	fclose(file);
	if (err)
		return err;
	if (!pa_kallsyms_is_of(kallsyms, info->vmcoreinfo))
		return pa_error_create(PA_ERROR_MISSING,
				       PROC_KALLSYMS " is another kernel's");
	*ret = pa_take(kallsyms);
	return NULL;
}
