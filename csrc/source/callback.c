// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory through somebody else's reading function: a drgn Program. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "source/internal.h"

#define PAGE_BYTES UINT64_C(4096)

struct callback_source {
	struct pa_source base;
	pa_read_phys_fn read;
	void *arg;
};

static void callback_destroy(struct pa_source *base)
{
	struct callback_source *source = (struct callback_source *)base;

	pa_source_info_deinit(&base->info);
	free(source);
}

static struct pa_error *callback_reader_create(struct pa_source *base,
					       struct pa_reader **ret)
{
	struct pa_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return &pa_error_no_memory;
	reader->source = base;
	*ret = reader;
	return NULL;
}

static void callback_reader_destroy(struct pa_reader *reader)
{
	free(reader);
}

static struct pa_error *ask(struct callback_source *source, uint64_t phys,
			    uint64_t length, uint8_t *buffer,
			    enum pa_presence *presence)
{
	return source->read(source->arg, phys, length, buffer, presence);
}

/*
 * The callback answers for a range as a whole, and one absent page makes all
 * of it absent. So ask for all; if that fails, for the first page; and if that
 * one is present, for pieces that halve whenever they fail.
 */
static struct pa_error *callback_run(struct pa_reader *base, uint64_t phys,
				     uint64_t length, uint8_t *buffer,
				     struct pa_run *ret)
{
	struct callback_source *source = (struct callback_source *)base->source;
	uint64_t first = pa_min(length, PAGE_BYTES - phys % PAGE_BYTES);
	enum pa_presence presence;
	struct pa_error *err = ask(source, phys, length, buffer, &presence);

	if (err)
		return err;
	if (presence == PA_PRESENT || first == length) {
		*ret = (struct pa_run){
			.presence = presence,
			.length = length,
			.data = presence == PA_PRESENT ? buffer : NULL,
		};
		return NULL;
	}
	err = ask(source, phys, first, buffer, &presence);
	if (err)
		return err;

	uint64_t done = first;

	if (presence == PA_PRESENT) {
		uint64_t step = pa_align_down(length - first, PAGE_BYTES) / 2;

		/* Whole pages until the step is smaller than one. */
		for (step = pa_align_down(step, PAGE_BYTES);
		     step && done < length;) {
			enum pa_presence more;
			uint64_t part = pa_min(step, length - done);

			err = ask(source, phys + done, part, buffer + done,
				  &more);
			if (err)
				return err;
			if (more == PA_PRESENT)
				done += part;
			else
				step = pa_align_down(step / 2, PAGE_BYTES);
		}
	}
	*ret = (struct pa_run){
		.presence = presence,
		.length = done,
		.data = presence == PA_PRESENT ? buffer : NULL,
	};
	return NULL;
}

static const struct pa_source_ops callback_ops = {
	.destroy = callback_destroy,
	.reader_create = callback_reader_create,
	.reader_destroy = callback_reader_destroy,
	.run = callback_run,
};

struct pa_error *pa_source_callback(pa_read_phys_fn read, void *arg,
				    const char *vmcoreinfo, bool live,
				    uint16_t machine, struct pa_source **ret)
{
	struct callback_source *source = calloc(1, sizeof(*source));

	if (!source)
		return &pa_error_no_memory;
	source->base.ops = &callback_ops;
	source->read = read;
	source->arg = arg;

	struct pa_source_info *info = &source->base.info;

	info->format = PA_SOURCE_CALLBACK;
	strcpy(info->format_name, "drgn program");
	info->live = live;
	info->complete = true;
	info->dump_level = -1;
	info->machine = machine;
	if (vmcoreinfo) {
		info->vmcoreinfo = strdup(vmcoreinfo);
		if (!info->vmcoreinfo) {
			callback_destroy(&source->base);
			return &pa_error_no_memory;
		}
	}
	*ret = &source->base;
	return NULL;
}
