// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/kallsyms_search.h"

#include <string.h>

#include "base/array.h"
#include "base/bits.h"
#include "base/cleanup.h"
#include "types/kallsyms.h"

#define NR_TOKENS 256
#define TOKEN_INDEX_BYTES ((size_t)(2 * NR_TOKENS))
/* Names between two markers; of each at most 128 bytes (KSYM_NAME_LEN). */
#define MARKED 256
#define MARKED_BYTES_MAX ((size_t)MARKED * 128)
#define LAST_TOKEN_MAX ((size_t)512)

/* The tables are 20 MiB behind _stext in a distribution's kernel. */
#define SEARCH_BYTES ((size_t)128 << 20)
#define CHUNK_BYTES ((size_t)1 << 20)
/* What only looks like tokens is rare; a hostile image may be full of it. */
#define MAX_TRIES 64
/* Of words in front of names that are how many there may be, one is. */
#define MAX_NUMBERS 8

/* The image from @address on. Places below are offsets in it. */
struct window {
	uint64_t address;
	PA_ARRAY(uint8_t) bytes;
};

static void window_deinit(struct window *window)
{
	pa_array_deinit(&window->bytes);
}

#define auto_window pa_cleanup(window_deinit)

/* A chunk more. What is not there is left zero, which fits no table. */
static struct pa_error *read_more(const struct pa_image *image,
				  struct pa_reader *reader,
				  struct window *window)
{
	size_t length = window->bytes.length;
	uint64_t phys = window->address + length - image->start + image->phys;
	uint64_t done = 0;
	uint8_t *data;

	if (!pa_array_reserve(&window->bytes, CHUNK_BYTES))
		return &pa_error_no_memory;
	data = window->bytes.items + length;
	while (done < CHUNK_BYTES) {
		struct pa_run run;
		struct pa_error *err = pa_reader_run(reader, phys + done,
						     CHUNK_BYTES - done,
						     data + done, &run);

		if (err)
			return err;
		if (run.presence != PA_PRESENT)
			memset(data + done, 0, run.length);
		else if (run.data != data + done)
			memcpy(data + done, run.data, run.length);
		done += run.length;
	}
	window->bytes.length += CHUNK_BYTES;
	return NULL;
}

static bool is_token_index(const uint8_t *data)
{
	if (pa_load_u16(data))
		return false;
	for (size_t i = 1; i < NR_TOKENS; i++)
		if (pa_load_u16(data + 2 * i) <= pa_load_u16(data + 2 * i - 2))
			return false;
	return true;
}

/* Whether each token of a table at @table ends where the next one starts. */
static bool has_tokens(const struct window *window, size_t table, size_t index)
{
	const uint8_t *starts = window->bytes.items + index;
	size_t start = table;

	for (size_t i = 1; i <= NR_TOKENS; i++) {
		const uint8_t *token = window->bytes.items + start;
		const uint8_t *nul = memchr(token, 0, index - start);

		if (!nul)
			return false;
		start += (size_t)(nul - token) + 1;
		if (i < NR_TOKENS &&
		    start != table + pa_load_u16(starts + 2 * i))
			return false;
	}
	return pa_align_up(start, 8) == index;
}

static bool find_token_table(const struct window *window, size_t index,
			     size_t *ret)
{
	size_t last = pa_load_u16(window->bytes.items + index +
				  TOKEN_INDEX_BYTES - 2);

	if (!is_token_index(window->bytes.items + index) || last >= index)
		return false;
	for (size_t table = pa_align_down(index - last, 8);
	     table + last + LAST_TOKEN_MAX > index; table -= 8) {
		/* The last token starts in front of the index. */
		if (table + last < index && has_tokens(window, table, index)) {
			*ret = table;
			return true;
		}
		if (table < 8)
			break;
	}
	return false;
}

static uint32_t marker(const struct window *window, size_t markers, size_t i)
{
	return pa_load_u32(window->bytes.items + markers + 4 * i);
}

/* They rise from 0; behind an odd number of them there are 4 bytes of 0. */
static bool find_markers(const struct window *window, size_t end, size_t *ret,
			 size_t *nr_ret)
{
	size_t nr = 0;
	uint32_t next = UINT32_MAX;

	if (end >= 8 && !pa_load_u32(window->bytes.items + end - 4))
		end -= 4;
	for (size_t at = end; at >= 4; at -= 4) {
		uint32_t value = pa_load_u32(window->bytes.items + at - 4);

		if (value >= next)
			return false;
		nr++;
		next = value;
		if (!value) {
			*ret = at - 4;
			*nr_ret = nr;
			return (at - 4) % 8 == 0;
		}
	}
	return false;
}

/* Whether there are @nr names at @names that the markers divide. */
static bool has_names(const struct window *window, size_t names, uint32_t nr,
		      size_t markers)
{
	size_t at = names;

	for (uint32_t i = 0; i < nr; i += MARKED) {
		uint32_t some = (uint32_t)pa_min(MARKED, nr - i);
		size_t length;

		if (at - names != marker(window, markers, i / MARKED))
			return false;
		length = pa_kallsyms_names_length(window->bytes.items + at,
						  markers - at, some);
		if (!length)
			return false;
		at += length;
	}
	return pa_align_up(at, 8) == markers;
}

/* The names end at the markers, and their number is in front of them. */
static bool find_names(const struct window *window, size_t markers,
		       size_t nr_markers, size_t *ret, uint32_t *nr_ret)
{
	size_t last = marker(window, markers, nr_markers - 1);
	int numbers = 0;

	if (last >= markers)
		return false;
	for (size_t names = pa_align_down(markers - last, 8);
	     names >= 8 && names + last + MARKED_BYTES_MAX > markers &&
	     numbers < MAX_NUMBERS;
	     names -= 8) {
		uint32_t nr = pa_load_u32(window->bytes.items + names - 8);

		if (pa_load_u32(window->bytes.items + names - 4) || !nr ||
		    nr > PA_KALLSYMS_MAX || (nr - 1) / MARKED + 1 != nr_markers)
			continue;
		numbers++;
		if (!has_names(window, names, nr, markers))
			continue;
		*ret = names;
		*nr_ret = nr;
		return true;
	}
	return false;
}

/* CONFIG_KALLSYMS_BASE_RELATIVE: the lowest address is behind the offsets. */
static bool find_addresses(const struct window *window,
			   const struct pa_image *image, size_t num_syms,
			   uint32_t nr, struct pa_kallsyms_places *places)
{
	size_t relative = pa_align_up((uint64_t)4 * nr, 8) + 8;
	size_t absolute = (size_t)8 * nr;

	if (num_syms < relative)
		return false;

	uint64_t base = pa_load_u64(window->bytes.items + num_syms - 8);

	if (base >= image->start && base <= window->address) {
		places->relative_base = window->address + num_syms - 8;
		places->offsets = window->address + num_syms - relative;
		return true;
	}
	if (num_syms < absolute)
		return false;
	places->addresses = window->address + num_syms - absolute;
	return true;
}

static bool find_tables(const struct window *window,
			const struct pa_image *image, size_t table,
			size_t index, struct pa_kallsyms_places *ret)
{
	size_t markers, nr_markers, names;
	uint32_t nr;

	if (!find_markers(window, table, &markers, &nr_markers) ||
	    !find_names(window, markers, nr_markers, &names, &nr))
		return false;
	*ret = (struct pa_kallsyms_places){
		.names = window->address + names,
		.num_syms = window->address + names - 8,
		.token_table = window->address + table,
		.token_index = window->address + index,
	};
	return find_addresses(window, image, names - 8, nr, ret);
}

struct pa_error *pa_kallsyms_search(const struct pa_image *image,
				    struct pa_reader *reader, uint64_t start,
				    struct pa_kallsyms_places *ret)
{
	auto_window struct window window = {
		.address = pa_align_down(start, 8),
	};
	size_t index = 0;
	int tries = 0;

	if (start < image->start || start >= image->end)
		start = image->end;
	while (tries < MAX_TRIES && window.bytes.length < SEARCH_BYTES &&
	       window.bytes.length + CHUNK_BYTES <= image->end - start) {
		struct pa_error *err = read_more(image, reader, &window);

		if (err)
			return err;
		for (; tries < MAX_TRIES &&
		       index + TOKEN_INDEX_BYTES <= window.bytes.length;
		     index += 8) {
			size_t table;

			if (!find_token_table(&window, index, &table))
				continue;
			if (find_tables(&window, image, table, index, ret))
				return NULL;
			tries++;
		}
	}
	return pa_error_create(
		PA_ERROR_MISSING,
		"the kernel's symbol table (kallsyms) was not found in its image");
}
