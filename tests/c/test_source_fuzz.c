// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Damaged dumps: each must be refused with a sentence, or be read to its end
 * without a crash, a hang or more than a little memory. Every bit of the
 * headers is flipped, files are cut at many sizes, and bytes are changed at
 * random: as often as the argument says (or 2000 times a format), always with
 * the same seed.
 */
#include <unistd.h>

#include "check.h"
#include "dump.h"
#include "elf_writer.h"
#include "kdump_writer.h"

/* No damaged file may take longer than this, all together. */
#define MAX_SECONDS 100

static void read_some(struct pa_reader *reader, uint64_t phys, uint64_t length)
{
	static uint8_t buffer[64 * PAGE];
	unsigned int nr_runs = 0;
	uint64_t sum = 0;

	/* Runs may be short or long; a few hundred show what there is. */
	while (length && nr_runs++ < 300) {
		uint64_t step = length < sizeof(buffer) ? length :
							  sizeof(buffer);
		struct pa_run run = { 0 };
		struct pa_error *err =
			pa_reader_run(reader, phys, step, buffer, &run);

		if (err) {
			CHECK(*err->message);
			pa_error_destroy(err);
			return;
		}
		CHECK_FATAL(run.length && run.length <= step);
		if (run.presence == PA_PRESENT) {
			/* Each byte, for the sanitizers to look at. */
			for (uint64_t i = 0; i < run.length; i++)
				sum += run.data[i];
		}
		phys += run.length;
		length -= run.length;
	}
	CHECK(sum != 1);
}

/* Returns whether the file could be opened. */
static bool try_file(const struct memory_file *file)
{
	struct pa_source *source = NULL;
	struct pa_reader *reader;
	struct pa_error *err = memory_file_open(file, &source);

	if (err) {
		CHECK(*err->message && !strchr(err->message, '\n'));
		CHECK(!source);
		pa_error_destroy(err);
		return false;
	}

	const struct pa_source_info *info = &source->info;
	uint64_t last_end = 0;

	CHECK(info->complete == !*info->incomplete_reason);
	for (size_t i = 0; i < info->ranges.length; i++) {
		CHECK(info->ranges.items[i].start < info->ranges.items[i].end);
		CHECK(!i || info->ranges.items[i].start > last_end);
		last_end = info->ranges.items[i].end;
	}
	err = pa_reader_create(source, &reader);
	if (err) {
		pa_error_destroy(err);
	} else {
		read_some(reader, 0, 1 << 21);
		if (info->ranges.length && last_end > PAGE)
			read_some(reader, last_end - PAGE, 2 * PAGE);
		read_some(reader, UINT64_MAX - PAGE, PAGE);
		pa_reader_destroy(reader);
	}
	pa_source_destroy(source);
	return true;
}

static uint64_t nr_tried, nr_opened;

static void count(bool opened)
{
	nr_tried++;
	nr_opened += opened;
}

static void flip_bits(const struct memory_file *file, uint64_t start,
		      uint64_t end)
{
	for (uint64_t at = start; at < end; at++) {
		uint8_t byte, flipped;

		CHECK_FATAL(pread(file->fd, &byte, 1, (off_t)at) == 1);
		for (unsigned int bit = 0; bit < 8; bit++) {
			flipped = byte ^ (uint8_t)(1 << bit);
			memory_file_write(file, at, &flipped, 1);
			count(try_file(file));
		}
		memory_file_write(file, at, &byte, 1);
	}
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
	*state = *state * 6364136223846793005 + 1442695040888963407;
	return (*state >> 24) % n;
}

/* Some fields at once, by values that tend to break arithmetic. */
static void change_at_random(const struct memory_file *file, uint64_t end,
			     unsigned int times, uint64_t *state)
{
	static const uint64_t values[] = {
		0,
		1,
		0x7fffffff,
		0x80000000,
		UINT32_MAX,
		UINT64_C(1) << 40,
		UINT64_C(1) << 52,
		INT64_MAX,
		UINT64_C(1) << 63,
		UINT64_MAX - 4095,
		UINT64_MAX,
	};
	uint8_t *saved = malloc(end);

	CHECK_FATAL(saved);
	CHECK_FATAL(pread(file->fd, saved, end, 0) == (ssize_t)end);
	for (unsigned int i = 0; i < times; i++) {
		uint64_t nr_changes = 1 + random_below(state, 3);

		while (nr_changes--) {
			uint64_t at = random_below(state, end / 4) * 4;
			size_t bytes = random_below(state, 2) ? 4 : 8;
			uint64_t value = values[random_below(
				state, sizeof(values) / sizeof(*values))];

			if (!random_below(state, 3))
				value = random_below(state, 1 << 20);
			if (at + bytes <= end)
				memory_file_write(file, at, &value, bytes);
		}
		count(try_file(file));
		memory_file_write(file, 0, saved, end);
	}
	free(saved);
}

static void cut(const struct memory_file *file, uint64_t step)
{
	off_t size = lseek(file->fd, 0, SEEK_END);
	uint8_t *saved = malloc((size_t)size);

	CHECK_FATAL(saved && pread(file->fd, saved, (size_t)size, 0) == size);
	for (off_t at = size - 1; at > 0; at -= (off_t)step) {
		CHECK_FATAL(!ftruncate(file->fd, at));
		count(try_file(file));
	}
	memory_file_write(file, 0, saved, (size_t)size);
	free(saved);
}

static void fuzz_elf(unsigned int times, uint64_t *state)
{
	const struct elf_segment segments[] = {
		{ 0x100000, ELF_DATA + 0x2000, 0x4000, 0x6000 },
		{ NO_PHYS, ELF_DATA, 0x1000, 0x1000 },
		{ 0, ELF_DATA, 0x1c00, 0x1c00 },
		{ 0x101000, ELF_DATA + 0x3000, 0x1000, 0x1000 },
	};
	struct memory_file file = elf_write(segments, 4, 64);

	elf_write_memory(&file, ELF_DATA, 0, 0x1c00);
	elf_write_memory(&file, ELF_DATA + 0x2000, 0x100000, 0x4000);
	CHECK_FATAL(try_file(&file));
	flip_bits(&file, 0, 64 + 5 * 56);
	flip_bits(&file, ELF_NOTES, ELF_NOTES + 800);
	change_at_random(&file, 64 + 5 * 56, times, state);
	cut(&file, 61);
	CHECK(try_file(&file));

	struct memory_file flat = kdump_flatten(&file, 3000, true);

	CHECK(try_file(&flat));
	flip_bits(&flat, 0, 40);
	/* The records' headers, of which the first is a short one. */
	flip_bits(&flat, PAGE, PAGE + 16);
	change_at_random(&flat, PAGE + 64, times / 4, state);
	cut(&flat, 251);
	close(flat.fd);
	close(file.fd);
}

static void fuzz_kdump(unsigned int times, uint64_t *state)
{
	struct kdump_plan plan = {
		.max_mapnr = 200,
		.first = 16,
		.end = 190,
		.step = 3,
		.machine = "x86_64",
		.status = 1,
	};
	struct memory_file file = kdump_write(&plan);
	uint64_t descriptors_end = KDUMP_DESCRIPTORS + 58 * 24;

	CHECK_FATAL(try_file(&file));
	flip_bits(&file, 0, 464);
	flip_bits(&file, PAGE, PAGE + 104);
	flip_bits(&file, KDUMP_NOTES, KDUMP_NOTES + 800);
	flip_bits(&file, KDUMP_BITMAPS, KDUMP_BITMAPS + 26);
	flip_bits(&file, KDUMP_BITMAPS + PAGE, KDUMP_BITMAPS + PAGE + 26);
	flip_bits(&file, KDUMP_DESCRIPTORS, KDUMP_DESCRIPTORS + 8 * 24);
	/* The first compressed page. */
	flip_bits(&file, descriptors_end + 2 * PAGE,
		  descriptors_end + 2 * PAGE + 28);
	change_at_random(&file, 464, times / 2, state);
	change_at_random(&file, descriptors_end, times / 2, state);
	cut(&file, 499);
	CHECK(try_file(&file));

	struct memory_file flat = kdump_flatten(&file, 7000, true);

	CHECK(try_file(&flat));
	flip_bits(&flat, PAGE, PAGE + 16);
	change_at_random(&flat, PAGE + 64, times / 20, state);
	cut(&flat, 2003);
	close(flat.fd);

	/* One of a set, for the fields that only those have. */
	plan.split = true;
	plan.split_start = 50;
	plan.split_end = 100;

	struct memory_file part = kdump_write(&plan);

	CHECK(try_file(&part));
	flip_bits(&part, PAGE, PAGE + 104);
	close(part.fd);
	close(file.fd);
}

/* Peak of this program alone: getrusage() keeps that of its parent's image. */
static long peak_kib(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %ld kB", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib;
}

int main(int argc, char **argv)
{
	unsigned int times = argc > 1 ? (unsigned int)atoi(argv[1]) : 2000;
	uint64_t state = 20261121;

	alarm(MAX_SECONDS + times / 100);
	fuzz_elf(times, &state);
	fuzz_kdump(times, &state);

	long peak = peak_kib();

	/* ASan's own quarantine is a quarter of a gigabyte. */
	CHECK(peak >= 0 && peak < 1 << 20);
	printf("%llu files, %llu opened, %ld MiB\n",
	       (unsigned long long)nr_tried, (unsigned long long)nr_opened,
	       peak / 1024);
	return CHECK_DONE();
}
