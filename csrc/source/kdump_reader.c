// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading the pages of a kdump-compressed dump, a thread each. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "source/kdump.h"

/* zlib makes 20 bytes of a page of zeros, lzo 37, snappy 192, zstd 20. */
#define SMALL_BYTES 256

struct kdump_reader {
	struct pa_reader base;
	kdump_ctx_t *ctx;
	/* Of descriptors and data, see pa_pieces_find(). */
	size_t hint;
	size_t data_hint;
	/*
	 * The last page that compressed to next to nothing: zeros, mostly, of
	 * which a dump that was not filtered is full. Equal bytes in the file
	 * are equal pages.
	 */
	struct pa_kdump_page small;
	uint8_t small_bytes[SMALL_BYTES];
	uint8_t small_page[PA_KDUMP_PAGE_BYTES];
};

struct pa_error *pa_kdump_reader_create(struct pa_source *base,
					struct pa_reader **ret)
{
	struct pa_kdump_source *source = (struct pa_kdump_source *)base;
	struct kdump_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->base.source = base;

	struct pa_error *err = pa_kdump_handle_take(source, &reader->ctx);

	if (err) {
		free(reader);
		return err;
	}
	*ret = &reader->base;
	return NULL;
}

void pa_kdump_reader_destroy(struct pa_reader *base)
{
	struct kdump_reader *reader = (struct kdump_reader *)base;

	pa_kdump_handle_give((struct pa_kdump_source *)base->source,
			     reader->ctx);
	free(reader);
}

/* Part of one page by libkdumpfile; *@ok says whether it could be read. */
static struct pa_error *decompress(struct kdump_reader *reader, uint64_t phys,
				   uint64_t length, uint8_t *buffer, bool *ok)
{
	size_t n = length;
	kdump_status status =
		kdump_read(reader->ctx, KDUMP_MACHPHYSADDR, phys, buffer, &n);

	*ok = status == KDUMP_OK;
	/* A compression that this libkdumpfile was built without. */
	if (status == KDUMP_ERR_NOTIMPL)
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "libkdumpfile cannot read the dump: %s",
				       kdump_get_err(reader->ctx));
	return NULL;
}

/* The part that holds @pfn, or the next one above, or NULL. */
static const struct pa_kdump_part *
find_part(const struct pa_kdump_source *source, uint64_t pfn)
{
	for (size_t i = 0; i < source->nr_parts; i++) {
		if (pfn < source->parts[i].end_pfn)
			return &source->parts[i];
	}
	return NULL;
}

/* What @pfn is, and the end of its run, at most @limit. */
static enum pa_presence find_run(const struct pa_kdump_part *part, uint64_t pfn,
				 uint64_t limit, uint64_t *end)
{
	limit = pa_min(limit, part->end_pfn);
	*end = pa_kdump_bitmap_change(&part->dumped, pfn, limit);
	if (pa_kdump_bitmap_test(&part->dumped, pfn))
		return PA_PRESENT;
	*end = pa_kdump_bitmap_change(&part->memory, pfn, *end);
	return pa_kdump_bitmap_test(&part->memory, pfn) ? PA_EXCLUDED :
							  PA_UNREADABLE;
}

/* A whole page, from @small_page if it is the same in the file. */
static struct pa_error *read_small(struct kdump_reader *reader,
				   const struct pa_kdump_part *part,
				   const struct pa_kdump_page *page,
				   uint64_t phys, uint8_t *buffer, bool *ok)
{
	uint8_t bytes[SMALL_BYTES];

	*ok = pa_file_read(part->file, page->offset, bytes, page->bytes) ==
	      page->bytes;
	if (!*ok)
		return NULL;
	if (page->bytes == reader->small.bytes &&
	    page->flags == reader->small.flags &&
	    !memcmp(bytes, reader->small_bytes, page->bytes)) {
		memcpy(buffer, reader->small_page, PA_KDUMP_PAGE_BYTES);
		return NULL;
	}

	struct pa_error *err =
		decompress(reader, phys, PA_KDUMP_PAGE_BYTES, buffer, ok);

	if (err || !*ok)
		return err;
	reader->small = *page;
	memcpy(reader->small_bytes, bytes, page->bytes);
	memcpy(reader->small_page, buffer, PA_KDUMP_PAGE_BYTES);
	return NULL;
}

/*
 * libkdumpfile maps the file as well, but does not look before it reads; and
 * where a flattened dump was cut short, we gave it zeros.
 */
static bool has_data(struct kdump_reader *reader, const struct pa_file *file,
		     const struct pa_kdump_page *page)
{
	uint64_t done = 0;

	while (done < page->bytes) {
		uint64_t part = page->bytes - done;

		if (!pa_file_span(file, page->offset + done, &part,
				  &reader->data_hint))
			return false;
		done += part;
	}
	return true;
}

/* @length bytes at @phys, of one page that is dumped. */
static struct pa_error *read_page(struct kdump_reader *reader,
				  const struct pa_kdump_part *part,
				  uint64_t index, uint64_t phys,
				  uint64_t length, uint8_t *buffer, bool *ok)
{
	struct pa_kdump_page page;

	*ok = pa_kdump_part_page(part, index, &page, &reader->hint);
	if (!*ok)
		return NULL;
	if (!(page.flags & PA_KDUMP_COMPRESSED)) {
		uint64_t offset = page.offset + phys % PA_KDUMP_PAGE_BYTES;

		*ok = pa_file_read(part->file, offset, buffer, length) ==
		      length;
		return NULL;
	}

	*ok = has_data(reader, part->file, &page);
	if (!*ok)
		return NULL;
	if (page.bytes <= SMALL_BYTES && length == PA_KDUMP_PAGE_BYTES)
		return read_small(reader, part, &page, phys, buffer, ok);
	return decompress(reader, phys, length, buffer, ok);
}

/* Pages of [phys, phys + length), which are dumped, one after another. */
static struct pa_error *read_pages(struct kdump_reader *reader,
				   const struct pa_kdump_part *part,
				   uint64_t phys, uint64_t length,
				   uint8_t *buffer, struct pa_run *ret)
{
	uint64_t index = pa_kdump_part_index(part, phys >> PA_KDUMP_PAGE_SHIFT);
	uint64_t done = 0;

	while (done < length) {
		uint64_t at = phys + done;
		uint64_t bytes =
			pa_min(length - done,
			       PA_KDUMP_PAGE_BYTES - at % PA_KDUMP_PAGE_BYTES);
		bool ok;
		struct pa_error *err = read_page(reader, part, index, at, bytes,
						 buffer + done, &ok);

		if (err)
			return err;
		if (!ok && done)
			break;
		if (!ok) {
			*ret = (struct pa_run){
				.presence = PA_UNREADABLE,
				.length = bytes,
			};
			return NULL;
		}
		done += bytes;
		index++;
	}
	*ret = (struct pa_run){
		.presence = PA_PRESENT,
		.length = done,
		.data = buffer,
	};
	return NULL;
}

struct pa_error *pa_kdump_run(struct pa_reader *base, uint64_t phys,
			      uint64_t length, uint8_t *buffer,
			      struct pa_run *ret)
{
	struct kdump_reader *reader = (struct kdump_reader *)base;
	const struct pa_kdump_source *source =
		(const struct pa_kdump_source *)base->source;
	uint64_t pfn = phys >> PA_KDUMP_PAGE_SHIFT;
	uint64_t last = phys + pa_min(length - 1, UINT64_MAX - phys);
	uint64_t limit = (last >> PA_KDUMP_PAGE_SHIFT) + 1;
	const struct pa_kdump_part *part = find_part(source, pfn);
	enum pa_presence presence = PA_UNREADABLE;
	uint64_t end = limit;

	if (part && part->start_pfn <= pfn)
		presence = find_run(part, pfn, limit, &end);
	else if (part)
		end = pa_min(limit, part->start_pfn);
	/* What is absent may go on in the next part. */
	while (presence != PA_PRESENT && end < limit) {
		uint64_t next;

		part = find_part(source, end);
		if (!part || part->start_pfn > end) {
			if (presence != PA_UNREADABLE)
				break;
			end = part ? pa_min(limit, part->start_pfn) : limit;
			continue;
		}
		if (find_run(part, end, limit, &next) != presence)
			break;
		end = next;
	}
	length = pa_min(last - phys + 1, (end << PA_KDUMP_PAGE_SHIFT) - phys);
	/* No buffer: pa_reader_presence(). */
	if (presence == PA_PRESENT && buffer)
		return read_pages(reader, part, phys, length, buffer, ret);
	*ret = (struct pa_run){ .presence = presence, .length = length };
	return NULL;
}
