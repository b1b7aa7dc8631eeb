// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>
#include <sys/stat.h>

#include "check.h"
#include "dump.h"
#include "kdump_writer.h"

/* Every other page of 16 to 2915 is dumped, the others are excluded. */
static const struct kdump_plan plan = {
	.max_mapnr = 3000,
	.first = 16,
	.end = 2916,
	.step = 2,
	.machine = "x86_64",
	.status = 1,
};
#define NR_DUMPED 1450

static void test_plain(void)
{
	struct memory_file file = kdump_write(&plan);
	struct pa_source *source;

	CHECK_OK(memory_file_open(&file, &source));
	dump_check_facts(source);
	CHECK(source->info.format == PA_SOURCE_KDUMP);
	CHECK(!strcmp(source->info.format_name, "kdump (zlib)"));
	CHECK(source->info.complete && !source->info.live);
	CHECK(source->info.dump_level == 31);
	CHECK(source->info.ranges.length == 1);
	CHECK(source->info.ranges.items[0].start == 16 * PAGE);
	CHECK(source->info.ranges.items[0].end == 2916 * PAGE);
	CHECK(kdump_check(source, &plan, 1 << 20) == NR_DUMPED);
	CHECK(kdump_check(source, &plan, 1000) == NR_DUMPED);
	pa_source_destroy(source);
	close(file.fd);
}

/* All present: runs of many pages. */
static void test_runs(void)
{
	struct kdump_plan all = plan;
	struct pa_source *source;
	struct pa_reader *reader;
	struct pa_run run;
	uint8_t *buffer = malloc(3000 * PAGE);

	all.step = 1;

	struct memory_file file = kdump_write(&all);

	CHECK_FATAL(buffer);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(kdump_check(source, &all, 12345) == 2900);
	CHECK_OK(pa_reader_create(source, &reader));
	CHECK_OK(pa_reader_run(reader, 16 * PAGE, 3000 * PAGE, buffer, &run));
	CHECK(run.presence == PA_PRESENT && run.length == 2900 * PAGE);
	CHECK_OK(pa_reader_run(reader, 0, UINT64_MAX, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length == 16 * PAGE);
	CHECK_OK(pa_reader_run(reader, 2916 * PAGE, UINT64_MAX, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length >= 1 << 30);
	CHECK_OK(pa_reader_run(reader, UINT64_MAX - 5, 100, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length);
	CHECK_OK(pa_reader_read(reader, 100 * PAGE + 7, 50, buffer));
	CHECK(buffer[0] == dump_byte(100 * PAGE + 7));
	pa_reader_destroy(reader);
	pa_source_destroy(source);
	close(file.fd);
	free(buffer);
}

static void *count_pages(void *arg)
{
	struct pa_source *source = arg;

	for (int i = 0; i < 5; i++) {
		if (kdump_check(source, &plan, PAGE * (i + 1)) != NR_DUMPED)
			return "wrong";
	}
	return NULL;
}

static void test_threads(void)
{
	struct memory_file file = kdump_write(&plan);
	struct pa_source *source;
	pthread_t threads[24];

	CHECK_OK(memory_file_open(&file, &source));
	for (size_t i = 0; i < 24; i++)
		CHECK_FATAL(!pthread_create(&threads[i], NULL, count_pages,
					    source));
	for (size_t i = 0; i < 24; i++) {
		void *result;

		pthread_join(threads[i], &result);
		CHECK(!result);
	}
	pa_source_destroy(source);
	close(file.fd);
}

/* QEMU's: flattened, nothing in utsname. */
static void test_flattened(void)
{
	struct kdump_plan qemu = plan;
	struct pa_source *source;

	qemu.machine = "";

	struct memory_file plain = kdump_write(&qemu);

	for (size_t step = 1000; step < 10000000; step *= 13) {
		struct memory_file file = kdump_flatten(&plain, step, true);

		CHECK_OK(memory_file_open(&file, &source));
		dump_check_facts(source);
		CHECK(source->info.complete);
		CHECK(!strcmp(source->info.format_name,
			      "kdump (zlib, flattened)"));
		CHECK(kdump_check(source, &qemu, 1 << 20) == NR_DUMPED);
		pa_source_destroy(source);
		close(file.fd);
	}

	struct memory_file file = kdump_flatten(&plain, 5000, false);

	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "end mark"));
	CHECK(kdump_check(source, &qemu, 1 << 20) == NR_DUMPED);
	pa_source_destroy(source);
	close(file.fd);
	close(plain.fd);
}

static struct memory_file write_part(uint64_t start, uint64_t end)
{
	struct kdump_plan part = plan;

	part.split = true;
	part.split_start = start;
	part.split_end = end;
	return kdump_write(&part);
}

static void test_split(void)
{
	struct memory_file files[] = {
		write_part(1000, 2003),
		write_part(2003, 3000),
		write_part(3000, 3000),
		write_part(0, 1000),
	};
	struct memory_file other = kdump_write(&plan);
	const char *paths[4];
	struct pa_source *source;

	for (size_t i = 0; i < 4; i++)
		paths[i] = files[i].path;
	/* In any order, with an empty part. */
	CHECK_OK(pa_source_open(paths, 4, &source));
	dump_check_facts(source);
	CHECK(source->info.complete);
	CHECK(!strcmp(source->info.format_name, "kdump (zlib, 4 files)"));
	CHECK(kdump_check(source, &plan, 1 << 20) == NR_DUMPED);
	CHECK(kdump_check(source, &plan, 777) == NR_DUMPED);

	/* What is excluded on both sides of a border is one run. */
	struct pa_reader *reader;
	struct pa_run run;
	uint8_t buffer[PAGE];

	CHECK_OK(pa_reader_create(source, &reader));
	CHECK_OK(pa_reader_run(reader, 2916 * PAGE, PAGE * 1000, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length == 1000 * PAGE);
	pa_reader_destroy(reader);
	pa_source_destroy(source);

	/* One part of them alone. */
	CHECK_OK(pa_source_open(paths, 1, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "part"));
	CHECK(kdump_check(source, &plan, 1 << 20) == 502);
	pa_source_destroy(source);
	/* One is missing in the middle. */
	paths[0] = paths[3];
	CHECK_OK(pa_source_open(paths, 3, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "0x3e8"));
	CHECK(kdump_check(source, &plan, 1 << 20) == NR_DUMPED - 502);
	pa_source_destroy(source);
	/* Given twice, and mixed with another dump. */
	paths[1] = paths[0];
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 2, &source));
	paths[1] = other.path;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 2, &source));
	for (size_t i = 0; i < 4; i++)
		close(files[i].fd);
	close(other.fd);
}

static void test_incomplete(void)
{
	struct kdump_plan marked = plan;
	struct pa_source *source;

	marked.status |= 8;

	struct memory_file file = kdump_write(&marked);

	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "marked"));
	CHECK(kdump_check(source, &marked, 1 << 20) == NR_DUMPED);
	pa_source_destroy(source);
	close(file.fd);

	/* Cut in the data, then in the descriptors, then before. */
	file = kdump_write(&plan);

	off_t size = lseek(file.fd, 0, SEEK_END);

	CHECK_FATAL(!ftruncate(file.fd, size - 5 * PAGE - 100));
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "cut short"));

	uint64_t count = kdump_check(source, &plan, 1 << 20);

	CHECK(count < NR_DUMPED && count >= NR_DUMPED - 9);
	pa_source_destroy(source);
	CHECK_FATAL(!ftruncate(file.fd, KDUMP_DESCRIPTORS + 1000));
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(kdump_check(source, &plan, 1 << 20) == 0);
	pa_source_destroy(source);
	CHECK_FATAL(!ftruncate(file.fd, KDUMP_DESCRIPTORS - 1));
	CHECK_ERROR(PA_ERROR_FORMAT, memory_file_open(&file, &source));
	close(file.fd);
}

/* A page whose descriptor is damaged is unreadable; others are not. */
static void test_descriptors(void)
{
	const struct {
		/* Of the descriptor of pfn 24, which is compressed. */
		uint64_t offset;
		uint32_t bytes;
		uint32_t flags;
	} damages[] = {
		{ 0, 0, 0 },
		{ UINT64_MAX - 5, 28, 1 },
		{ 0, 28, 1 },
		{ 100, 28, 1 },
		{ UINT64_C(1) << 40, 28, 1 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24, 5000, 1 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24, UINT32_MAX, 1 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24, 4095, 0 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24, 27, 1 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24 + 100, 300, 1 },
		{ KDUMP_DESCRIPTORS + NR_DUMPED * 24 + 100, 2000, 1 },
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		struct memory_file file = kdump_write(&plan);
		uint64_t at = KDUMP_DESCRIPTORS + (24 - 16) / 2 * 24;
		struct pa_source *source;

		kdump_put(&file, at, damages[i].offset, 8);
		kdump_put(&file, at + 8, damages[i].bytes, 4);
		kdump_put(&file, at + 12, damages[i].flags, 4);
		CHECK_OK(memory_file_open(&file, &source));
		CHECK(kdump_check(source, &plan, 1 << 20) == NR_DUMPED - 1);
		pa_source_destroy(source);
		close(file.fd);
	}
}

static void check_refusal(const struct memory_file *file,
			  enum pa_error_code code, const char *words)
{
	struct pa_source *source;
	struct pa_error *err = memory_file_open(file, &source);

	CHECK_FATAL(err);
	CHECK(err->code == code);
	CHECK(strstr(err->message, words));
	if (!strstr(err->message, words))
		fprintf(stderr, "%s\n", err->message);
	CHECK(strstr(err->message, file->path));
	pa_error_destroy(err);
}

static void test_refusals(void)
{
	const struct {
		uint64_t offset;
		uint64_t value;
		size_t bytes;
		enum pa_error_code code;
		const char *words;
	} changes[] = {
		{ 8, 0x06000000, 4, PA_ERROR_UNSUPPORTED, "big-endian" },
		{ 8, 0x66666666, 4, PA_ERROR_FORMAT, "version" },
		{ 12 + 4 * 65, 0x34366d7261, 6, PA_ERROR_UNSUPPORTED, "arm64" },
		{ 428, 65536, 4, PA_ERROR_UNSUPPORTED, "65536" },
		{ 428, 4095, 4, PA_ERROR_FORMAT, "block size" },
		{ 428, 0, 4, PA_ERROR_FORMAT, "block size" },
		{ 432, UINT32_MAX, 4, PA_ERROR_FORMAT, "bitmaps" },
		{ 432, 100000, 4, PA_ERROR_FORMAT, "bitmaps" },
		{ 436, UINT32_MAX, 4, PA_ERROR_FORMAT, "bitmaps" },
		{ 436, 0, 4, PA_ERROR_FORMAT, "max_mapnr" },
		{ 440, UINT32_MAX, 4, PA_ERROR_FORMAT, "max_mapnr" },
		{ PAGE + 96, UINT64_MAX, 8, PA_ERROR_FORMAT, "max_mapnr" },
		{ PAGE + 48, UINT64_MAX, 8, PA_ERROR_FORMAT, "notes" },
		{ PAGE + 56, UINT64_C(1) << 50, 8, PA_ERROR_FORMAT, "notes" },
		{ PAGE + 32, UINT64_C(1) << 50, 8, PA_ERROR_FORMAT, "notes" },
		{ PAGE + 64, UINT64_C(1) << 50, 8, PA_ERROR_FORMAT, "notes" },
		{ PAGE + 72, 1000000000, 8, PA_ERROR_FORMAT, "notes" },
		/* A block size, to libkdumpfile's 32-bit eyes. */
		{ 416, 8192, 8, PA_ERROR_UNSUPPORTED, "timestamp" },
		{ 416, 256, 8, PA_ERROR_UNSUPPORTED, "timestamp" },
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct memory_file file = kdump_write(&plan);

		kdump_put(&file, changes[i].offset, changes[i].value,
			  changes[i].bytes);
		check_refusal(&file, changes[i].code, changes[i].words);
		close(file.fd);
	}

	struct memory_file file = kdump_write(&plan);

	memory_file_write(&file, 0, "DISKDUMP", 8);
	check_refusal(&file, PA_ERROR_UNSUPPORTED, "diskdump");
	CHECK_FATAL(!ftruncate(file.fd, 300));
	memory_file_write(&file, 0, "KDUMP   ", 8);
	check_refusal(&file, PA_ERROR_FORMAT, "header");
	close(file.fd);
}

int main(void)
{
	test_plain();
	test_runs();
	test_threads();
	test_flattened();
	test_split();
	test_incomplete();
	test_descriptors();
	test_refusals();
	return CHECK_DONE();
}
