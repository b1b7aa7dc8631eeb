// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bandwidth THREADS TIMES DUMP [VMLINUX]: how fast this machine gets at the
 * memory map of an ELF vmcore, when all that is done with a struct page is to
 * add up four of its words: over a mapping of the file, and by preads of 1 MiB.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#include "base/bits.h"
#include "base/job.h"
#include "source/elf_header.h"

#define CHUNK_BYTES PA_BIT(20)

struct bandwidth {
	int fd;
	/* NULL: by preads. */
	const uint8_t *map;
	uint32_t page_bytes;
	/* phys is the offset in the file; none is longer than CHUNK_BYTES. */
	struct bench_spans chunks;
	/* What was added up: the compiler must not leave it out. */
	atomic_uint_fast64_t sum;
};

struct worker {
	struct bandwidth *b;
	uint8_t *buffer;
	uint64_t sum;
};

static struct pa_error *start(void *arg, void **ret)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker)
		worker->buffer = malloc(CHUNK_BYTES);
	if (!worker || !worker->buffer)
		bench_fail("out of memory");
	worker->b = arg;
	*ret = worker;
	return NULL;
}

static struct pa_error *touch(void *arg, uint64_t index)
{
	struct worker *worker = arg;
	const struct bandwidth *b = worker->b;
	const struct bench_span *chunk = &b->chunks.items[index];
	const uint8_t *bytes = worker->buffer;
	uint64_t sum = 0;

	if (b->map)
		bytes = b->map + chunk->phys;
	else if (pread(b->fd, worker->buffer, chunk->bytes,
		       (off_t)chunk->phys) != (ssize_t)chunk->bytes)
		bench_fail("cannot read the dump");
	for (uint64_t i = 0; i + b->page_bytes <= chunk->bytes;
	     i += b->page_bytes)
		sum += pa_load_u64(bytes + i) + pa_load_u64(bytes + i + 8) +
		       pa_load_u64(bytes + i + 24) +
		       pa_load_u64(bytes + i + 48);
	worker->sum += sum;
	return NULL;
}

static struct pa_error *finish(void *arg, void *state, bool failed)
{
	struct bandwidth *b = arg;
	struct worker *worker = state;

	(void)failed;
	atomic_fetch_add(&b->sum, worker->sum);
	free(worker->buffer);
	free(worker);
	return NULL;
}

static size_t read_file(void *arg, uint64_t offset, void *buffer, size_t length)
{
	ssize_t n = pread(*(int *)arg, buffer, length, (off_t)offset);

	return n > 0 ? (size_t)n : 0;
}

/* Adds the pieces of the file that hold @span, a chunk each. */
static void add_chunks(struct bandwidth *b, const struct pa_elf_header *header,
		       const struct bench_span *span)
{
	uint64_t at = span->phys, end = at + span->bytes;

	for (size_t i = 0; i < header->nr_segments; i++) {
		const Elf64_Phdr *phdr = &header->segments[i];
		uint64_t stop = pa_min(end, phdr->p_paddr + phdr->p_filesz);

		if (phdr->p_type != PT_LOAD || at < phdr->p_paddr)
			continue;
		while (at < stop) {
			struct bench_span chunk = {
				.phys = phdr->p_offset + (at - phdr->p_paddr),
				.bytes = pa_min(CHUNK_BYTES, stop - at),
			};

			if (!pa_array_append(&b->chunks, chunk))
				bench_fail("out of memory");
			at += chunk.bytes;
		}
	}
	if (at != end)
		bench_fail("the memory map is not all in the file");
}

static uint64_t find_chunks(struct bandwidth *b, const char *path,
			    const char *vmlinux)
{
	struct pa_elf_header header = { 0 };
	struct bench_spans spans = { 0 };
	struct pa_source *source;
	struct pa_kernel *kernel;
	struct pa_layout layout;

	bench_ok(pa_source_open(&path, 1, &source));
	bench_layout(source, vmlinux, &layout);
	bench_ok(pa_kernel_create(source, &layout, &kernel));
	bench_memmap_spans(kernel, &spans);
	bench_ok(pa_elf_header_init(&header, path, read_file, &b->fd));
	for (size_t i = 0; i < spans.length; i++)
		add_chunks(b, &header, &spans.items[i]);
	b->page_bytes = kernel->page_format.size;
	uint64_t pages = spans.pages;

	pa_array_deinit(&spans);
	pa_elf_header_deinit(&header);
	pa_kernel_destroy(kernel);
	pa_source_destroy(source);
	return pages;
}

static void measure(struct bandwidth *b, unsigned int threads, bool mapped)
{
	static const struct pa_work work = {
		.start = start,
		.item = touch,
		.finish = finish,
	};
	struct bench_time begun = bench_begin();
	struct pa_job job;
	struct stat st;

	pa_job_init(&job, threads);
	if (mapped) {
		if (fstat(b->fd, &st))
			bench_fail("cannot stat the dump");
		b->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED,
			      b->fd, 0);
		if (b->map == MAP_FAILED)
			bench_fail("cannot map the dump");
	}
	bench_ok(pa_job_run(&job, &work, b, b->chunks.length));
	bench_end(mapped ? "mapped" : "preads", begun);
	if (mapped)
		munmap((void *)b->map, (size_t)st.st_size);
	b->map = NULL;
}

int main(int argc, char **argv)
{
	struct bandwidth b = { .fd = -1 };

	if (argc < 4)
		bench_fail("usage: bandwidth THREADS TIMES DUMP [VMLINUX]");
	b.fd = open(argv[3], O_RDONLY);
	if (b.fd < 0)
		bench_fail("cannot open the dump");
	bench_count("pages", find_chunks(&b, argv[3], argv[4]));
	for (int i = atoi(argv[2]); i > 0; i--) {
		measure(&b, (unsigned int)atoi(argv[1]), true);
		measure(&b, (unsigned int)atoi(argv[1]), false);
	}
	bench_count("sum", atomic_load(&b.sum));
	return 0;
}
