/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source over another one, whose memory it changes and of which it learns
 * what is read; and the random numbers that choose.
 */
#ifndef PA_TESTS_OVERLAY_H
#define PA_TESTS_OVERLAY_H

#include <string.h>

#include "base/array.h"
#include "base/bits.h"
#include "check.h"
#include "source/source.h"

#define MAX_WORDS 64
#define MAX_TRACE 200000
#define MAX_POINTERS 65536
#define MAX_PHASES 32

static uint64_t state;

static uint64_t random_u64(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return random_u64() % n;
}

/* A read of the audit that nothing was wrong with. */
struct extent {
	uint64_t phys;
	uint64_t length;
};

struct phase {
	const char *name;
	PA_ARRAY(struct extent) extents;
};

/* What lies over the dump, and what was learnt of it. */
struct overlay {
	struct pa_source base;
	struct pa_source *under;
	bool tracing;
	const char *phase;
	struct phase phases[MAX_PHASES];
	size_t nr_phases;
	/* Kernel addresses met in what was read. */
	PA_ARRAY(uint64_t) pointers;
	uint64_t nr_pointers;
	size_t nr_words;
	struct {
		uint64_t phys;
		uint8_t bytes[8];
	} words[MAX_WORDS];
};

struct overlay_reader {
	struct pa_reader base;
	struct pa_reader *under;
};

static struct phase *find_phase(struct overlay *overlay, const char *name)
{
	for (size_t i = 0; i < overlay->nr_phases; i++)
		if (!strcmp(overlay->phases[i].name, name))
			return &overlay->phases[i];
	CHECK_FATAL(overlay->nr_phases < MAX_PHASES);
	overlay->phases[overlay->nr_phases].name = name;
	return &overlay->phases[overlay->nr_phases++];
}

static void trace(struct overlay *overlay, uint64_t phys,
		  const struct pa_run *run)
{
	struct phase *phase = find_phase(overlay, overlay->phase);

	if (phase->extents.length < MAX_TRACE)
		CHECK_FATAL(pa_array_append(
			&phase->extents, (struct extent){ phys, run->length }));
	for (uint64_t i = 0; i + 8 <= run->length; i += 8) {
		uint64_t word = pa_load_u64(run->data + i);

		if (word >> 47 != 0x1ffff)
			continue;
		if (overlay->pointers.length < MAX_POINTERS)
			CHECK_FATAL(pa_array_append(&overlay->pointers, word));
		else if (below(++overlay->nr_pointers) < MAX_POINTERS)
			overlay->pointers.items[below(MAX_POINTERS)] = word;
	}
}

static struct pa_error *overlay_run(struct pa_reader *base, uint64_t phys,
				    uint64_t length, uint8_t *buffer,
				    struct pa_run *ret)
{
	struct overlay_reader *reader = (struct overlay_reader *)base;
	struct overlay *overlay = (struct overlay *)base->source;
	struct pa_error *err =
		pa_reader_run(reader->under, phys, length, buffer, ret);

	if (err || ret->presence != PA_PRESENT || !buffer)
		return err;
	if (overlay->tracing)
		trace(overlay, phys, ret);
	for (size_t i = 0; i < overlay->nr_words; i++) {
		uint64_t at = overlay->words[i].phys;

		for (uint64_t byte = 0; byte < 8; byte++) {
			uint64_t offset = at + byte - phys;

			if (offset >= ret->length)
				continue;
			if (ret->data != buffer) {
				memcpy(buffer, ret->data, ret->length);
				ret->data = buffer;
			}
			buffer[offset] = overlay->words[i].bytes[byte];
		}
	}
	return NULL;
}

static struct pa_error *overlay_reader_create(struct pa_source *base,
					      struct pa_reader **ret)
{
	struct overlay_reader *reader = calloc(1, sizeof(*reader));

	CHECK_FATAL(reader);
	reader->base.source = base;

	struct pa_error *err = pa_reader_create(((struct overlay *)base)->under,
						&reader->under);

	if (err) {
		free(reader);
		return err;
	}
	*ret = &reader->base;
	return NULL;
}

static void overlay_reader_destroy(struct pa_reader *base)
{
	struct overlay_reader *reader = (struct overlay_reader *)base;

	pa_reader_destroy(reader->under);
	free(reader);
}

static const struct pa_source_ops overlay_ops = {
	.reader_create = overlay_reader_create,
	.reader_destroy = overlay_reader_destroy,
	.run = overlay_run,
};

#endif
