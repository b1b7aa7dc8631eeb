/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading text that is bounded, not terminated: each function takes what it
 * recognises off the front of a slice, and leaves the slice alone otherwise.
 */
#ifndef PA_BASE_TEXT_H
#define PA_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters [at, end), borrowed. */
struct pa_text {
	const char *at;
	const char *end;
};

static inline struct pa_text pa_text(const char *at, size_t length)
{
	return (struct pa_text){ .at = at, .end = at + length };
}

static inline size_t pa_text_length(struct pa_text text)
{
	return (size_t)(text.end - text.at);
}

/* Takes @prefix off; false if @text does not start with it. */
bool pa_text_skip(struct pa_text *text, const char *prefix);
void pa_text_skip_spaces(struct pa_text *text);

/* What follows the first, or the last, @needle in @text. */
bool pa_text_after(struct pa_text text, const char *needle,
		   struct pa_text *ret);
bool pa_text_after_last(struct pa_text text, const char *needle,
			struct pa_text *ret);

/*
 * Takes a number off: 1 to 16 hexadecimal digits without "0x", the same after
 * "0x", or decimal ones; no letter or digit may follow.
 */
bool pa_text_hex(struct pa_text *text, uint64_t *ret);
bool pa_text_0x(struct pa_text *text, uint64_t *ret);
bool pa_text_decimal(struct pa_text *text, uint64_t *ret);

/* Takes a line and its newline off; false at the end. */
bool pa_text_line(struct pa_text *text, struct pa_text *ret);

/* A C string of at most @size - 1 characters of it. */
void pa_text_copy(struct pa_text text, char *buffer, size_t size);

/*
 * Makes a C string from a dump fit for a report: printable ASCII, with "?" for
 * everything else.
 */
void pa_text_make_printable(char *string);

#endif
