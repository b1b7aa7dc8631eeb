// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/vmcoreinfo.h"

#include <stdio.h>
#include <string.h>

bool pa_vmcoreinfo_string(const char *vmcoreinfo, const char *key,
			  const char **value_ret, size_t *length_ret)
{
	size_t key_length = strlen(key);

	if (!vmcoreinfo)
		return false;
	for (const char *line = vmcoreinfo; *line;) {
		size_t length = strcspn(line, "\n");

		if (length > key_length && line[key_length] == '=' &&
		    !memcmp(line, key, key_length)) {
			*value_ret = line + key_length + 1;
			*length_ret = length - key_length - 1;
			return true;
		}
		line += length;
		if (*line)
			line++;
	}
	return false;
}

/*
 * Digits of @base and nothing else: a value with other characters is damaged
 * and as good as absent. strtoull() would take blanks, signs and "0x".
 */
static bool parse_digits(const char *text, size_t length, unsigned int base,
			 uint64_t *ret)
{
	uint64_t value = 0;

	if (!length)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned int digit;

		if (text[i] >= '0' && text[i] <= '9')
			digit = (unsigned int)(text[i] - '0');
		else if (text[i] >= 'a' && text[i] <= 'f')
			digit = (unsigned int)(text[i] - 'a' + 10);
		else if (text[i] >= 'A' && text[i] <= 'F')
			digit = (unsigned int)(text[i] - 'A' + 10);
		else
			return false;
		if (digit >= base ||
		    __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret = value;
	return true;
}

bool pa_vmcoreinfo_number(const char *vmcoreinfo, const char *key, int64_t *ret)
{
	const char *text;
	size_t length;
	uint64_t value;

	if (!pa_vmcoreinfo_string(vmcoreinfo, key, &text, &length))
		return false;

	bool negative = length && *text == '-';

	if (!parse_digits(text + negative, length - negative, 10, &value))
		return false;
	/*
	 * NUMBER() prints "%ld" of whatever it is given: page flags masks and
	 * the like come out negative, and SIZE() and OFFSET() use "%lu".
	 */
	if (value > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

bool pa_vmcoreinfo_hex(const char *vmcoreinfo, const char *key, uint64_t *ret)
{
	const char *text;
	size_t length;

	return pa_vmcoreinfo_string(vmcoreinfo, key, &text, &length) &&
	       parse_digits(text, length, 16, ret);
}

bool pa_vmcoreinfo_symbol(const char *vmcoreinfo, const char *name,
			  uint64_t *ret)
{
	char key[64];

	snprintf(key, sizeof(key), "SYMBOL(%s)", name);
	return pa_vmcoreinfo_hex(vmcoreinfo, key, ret);
}
