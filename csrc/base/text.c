// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/text.h"

#include <string.h>

bool pa_text_skip(struct pa_text *text, const char *prefix)
{
	size_t length = strlen(prefix);

	if (pa_text_length(*text) < length ||
	    memcmp(text->at, prefix, length) != 0)
		return false;
	text->at += length;
	return true;
}

void pa_text_skip_spaces(struct pa_text *text)
{
	while (text->at < text->end && *text->at == ' ')
		text->at++;
}

bool pa_text_after(struct pa_text text, const char *needle, struct pa_text *ret)
{
	const char *found =
		memmem(text.at, pa_text_length(text), needle, strlen(needle));

	if (!found)
		return false;
	*ret = (struct pa_text){ .at = found + strlen(needle),
				 .end = text.end };
	return true;
}

bool pa_text_after_last(struct pa_text text, const char *needle,
			struct pa_text *ret)
{
	struct pa_text at = text;
	bool found = false;

	while (pa_text_after(at, needle, &at)) {
		*ret = at;
		found = true;
	}
	return found;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '_';
}

static bool take_number(struct pa_text *text, unsigned int base, uint64_t *ret)
{
	const char *at = text->at;
	uint64_t value = 0;

	while (at < text->end && digit_value(*at) < (int)base) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(*at),
					   &value))
			return false;
		at++;
	}
	if (at == text->at || (at < text->end && is_alphanumeric(*at)))
		return false;
	text->at = at;
	*ret = value;
	return true;
}

bool pa_text_hex(struct pa_text *text, uint64_t *ret)
{
	return take_number(text, 16, ret);
}

bool pa_text_0x(struct pa_text *text, uint64_t *ret)
{
	struct pa_text at = *text;

	if (!pa_text_skip(&at, "0x") || !take_number(&at, 16, ret))
		return false;
	*text = at;
	return true;
}

bool pa_text_decimal(struct pa_text *text, uint64_t *ret)
{
	return take_number(text, 10, ret);
}

bool pa_text_line(struct pa_text *text, struct pa_text *ret)
{
	if (text->at == text->end)
		return false;

	const char *newline = memchr(text->at, '\n', pa_text_length(*text));

	*ret = (struct pa_text){ .at = text->at,
				 .end = newline ? newline : text->end };
	text->at = newline ? newline + 1 : text->end;
	return true;
}

void pa_text_copy(struct pa_text text, char *buffer, size_t size)
{
	size_t length = pa_text_length(text);

	if (length > size - 1)
		length = size - 1;
	memcpy(buffer, text.at, length);
	buffer[length] = '\0';
}

void pa_text_make_printable(char *string)
{
	for (; *string; string++)
		if (*string < ' ' || *string > '~')
			*string = '?';
}
