// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pa_error pa_error_no_memory = {
	.code = PA_ERROR_NO_MEMORY,
	.is_static = true,
	.message = "out of memory",
};

struct pa_error pa_error_cancelled = {
	.code = PA_ERROR_CANCELLED,
	.is_static = true,
	.message = "interrupted",
};

static struct pa_error *error_vcreate(enum pa_error_code code, uint64_t address,
				      const char *format, va_list ap)
{
	va_list copy;

	va_copy(copy, ap);
	int length = vsnprintf(NULL, 0, format, copy);
	va_end(copy);
	if (length < 0)
		return &pa_error_no_memory;

	struct pa_error *err = malloc(sizeof(*err) + (size_t)length + 1);

	if (!err)
		return &pa_error_no_memory;
	err->code = code;
	err->is_static = false;
	err->address = address;
	vsnprintf(err->message, (size_t)length + 1, format, ap);
	return err;
}

struct pa_error *pa_error_create(enum pa_error_code code, const char *format,
				 ...)
{
	va_list ap;

	va_start(ap, format);
	struct pa_error *err = error_vcreate(code, 0, format, ap);
	va_end(ap);
	return err;
}

struct pa_error *pa_error_at(enum pa_error_code code, uint64_t address,
			     const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	struct pa_error *err = error_vcreate(code, address, format, ap);
	va_end(ap);
	return err;
}

struct pa_error *pa_error_os(int errnum, const char *path)
{
	char text[128];
	/* The GNU strerror_r() may return a static string instead. */
	const char *reason = strerror_r(errnum, text, sizeof(text));

	return pa_error_create(PA_ERROR_OS, "%s%s%s", path ? path : "",
			       path ? ": " : "", reason);
}

void pa_error_destroy(struct pa_error *err)
{
	if (err && !err->is_static)
		free(err);
}
