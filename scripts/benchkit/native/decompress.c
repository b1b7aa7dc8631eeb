// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * decompress THREADS TIMES DUMP [VMLINUX]: how long libkdumpfile alone takes
 * for the pages of a kdump file that hold the memory map, each thread with a
 * handle of its own.
 */
#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <unistd.h>

#include "bench.h"

#include "base/bits.h"
#include "base/job.h"

/* Of physical memory, for one item of work: as much as the audit takes. */
#define CHUNK_BYTES PA_BIT(21)
#define READ_BYTES PA_BIT(12)

struct decompress {
	int fd;
	/* Pages that libkdumpfile caches, as fast as it gets. */
	unsigned int cache_pages;
	struct bench_spans chunks;
};

struct worker {
	const struct decompress *d;
	kdump_ctx_t *ctx;
	uint8_t buffer[READ_BYTES];
};

static struct pa_error *start(void *arg, void **ret)
{
	const struct decompress *d = arg;
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		bench_fail("out of memory");
	worker->d = d;
	worker->ctx = kdump_new();
	if (!worker->ctx ||
	    kdump_set_number_attr(worker->ctx, "cache.size", d->cache_pages) !=
		    KDUMP_OK ||
	    kdump_open_fd(worker->ctx, d->fd) != KDUMP_OK)
		bench_fail("libkdumpfile cannot open the dump");
	*ret = worker;
	return NULL;
}

static struct pa_error *read_chunk(void *arg, uint64_t index)
{
	struct worker *worker = arg;
	const struct bench_span *chunk = &worker->d->chunks.items[index];
	uint64_t end = chunk->phys + chunk->bytes;

	for (uint64_t at = chunk->phys; at < end; at += READ_BYTES) {
		size_t n = pa_min(READ_BYTES, end - at);

		if (kdump_read(worker->ctx, KDUMP_MACHPHYSADDR, at,
			       worker->buffer, &n) != KDUMP_OK)
			bench_fail(kdump_get_err(worker->ctx));
	}
	return NULL;
}

static struct pa_error *finish(void *arg, void *state, bool failed)
{
	struct worker *worker = state;

	(void)arg;
	(void)failed;
	kdump_free(worker->ctx);
	free(worker);
	return NULL;
}

static uint64_t find_chunks(struct decompress *d, const char *path,
			    const char *vmlinux)
{
	struct bench_spans spans = { 0 };
	struct pa_source *source;
	struct pa_kernel *kernel;
	struct pa_layout layout;

	bench_ok(pa_source_open(&path, 1, &source));
	bench_layout(source, vmlinux, &layout);
	bench_ok(pa_kernel_create(source, &layout, &kernel));
	bench_memmap_spans(kernel, &spans);
	pa_array_for_each(span, &spans)
		for (uint64_t done = 0; done < span->bytes;
		     done += CHUNK_BYTES) {
			struct bench_span chunk = {
				span->phys + done,
				pa_min(CHUNK_BYTES, span->bytes - done),
			};

			if (!pa_array_append(&d->chunks, chunk))
				bench_fail("out of memory");
		}
	uint64_t pages = spans.pages;

	pa_array_deinit(&spans);
	pa_kernel_destroy(kernel);
	pa_source_destroy(source);
	return pages;
}

int main(int argc, char **argv)
{
	static const struct pa_work work = {
		.start = start,
		.item = read_chunk,
		.finish = finish,
	};
	/* As small as ours, and libkdumpfile's own default. */
	static const struct {
		const char *name;
		unsigned int pages;
	} caches[] = { { "small_cache", 32 }, { "default_cache", 1024 } };
	struct decompress d = { .fd = -1 };
	struct pa_job job;

	if (argc < 4)
		bench_fail("usage: decompress THREADS TIMES DUMP [VMLINUX]");
	d.fd = open(argv[3], O_RDONLY);
	if (d.fd < 0)
		bench_fail("cannot open the dump");
	bench_count("pages", find_chunks(&d, argv[3], argv[4]));
	for (int i = atoi(argv[2]); i > 0; i--)
		for (int j = 0; j < 2; j++) {
			struct bench_time begun = bench_begin();

			d.cache_pages = caches[j].pages;
			pa_job_init(&job, (unsigned int)atoi(argv[1]));
			bench_ok(pa_job_run(&job, &work, &d, d.chunks.length));
			bench_end(caches[j].name, begun);
		}
	return 0;
}
