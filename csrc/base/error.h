/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors as values.
 *
 * A function that can fail returns "struct pa_error *": NULL is success. An
 * error is owned by whoever receives it and ends in pa_error_destroy() or is
 * returned further up. Results leave by the last parameters, which stay
 * untouched on failure.
 */
#ifndef PA_BASE_ERROR_H
#define PA_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

enum pa_error_code {
	PA_ERROR_NO_MEMORY,
	/* The job was cancelled (Ctrl-C). */
	PA_ERROR_CANCELLED,
	/* A system call failed; the message holds strerror() and the path. */
	PA_ERROR_OS,
	/* The target is no kernel dump, or damaged beyond analysis. */
	PA_ERROR_FORMAT,
	/* A valid target of a kind that we do not handle. */
	PA_ERROR_UNSUPPORTED,
	/* Type information or a symbol is missing. */
	PA_ERROR_MISSING,
	/* Memory at @address is not in the target. */
	PA_ERROR_UNREADABLE,
	/* Memory at @address was filtered out of the dump. */
	PA_ERROR_EXCLUDED,
	/* The kernel's own data contradicts itself at @address. */
	PA_ERROR_CORRUPT,
	/* The caller's argument is wrong. */
	PA_ERROR_INVALID,
};

struct pa_error {
	enum pa_error_code code;
	bool is_static;
	/* Address (virtual, or physical where the message says so), or 0. */
	uint64_t address;
	char message[];
};

/* Shared, read-only: errors that need no memory. */
extern struct pa_error pa_error_no_memory;
extern struct pa_error pa_error_cancelled;

/* Owned by the caller. Falls back to pa_error_no_memory. */
struct pa_error *pa_error_create(enum pa_error_code code, const char *format,
				 ...) __attribute__((format(printf, 2, 3)));
struct pa_error *pa_error_at(enum pa_error_code code, uint64_t address,
			     const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* PA_ERROR_OS from @errnum: "PATH: strerror". @path may be NULL. */
struct pa_error *pa_error_os(int errnum, const char *path);
/* NULL and static errors are allowed. */
void pa_error_destroy(struct pa_error *err);

/* Memory that the dump does not hold: unknown, never bad. */
static inline bool pa_error_is_absent(const struct pa_error *err)
{
	return err && (err->code == PA_ERROR_UNREADABLE ||
		       err->code == PA_ERROR_EXCLUDED);
}

/* Of the kernel's memory rather than of ours: absent or corrupt. */
static inline bool pa_error_is_target(const struct pa_error *err)
{
	return err &&
	       (pa_error_is_absent(err) || err->code == PA_ERROR_CORRUPT);
}

#endif
