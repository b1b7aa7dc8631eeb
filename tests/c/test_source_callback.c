// SPDX-License-Identifier: LGPL-2.1-or-later
#include <elf.h>

#include "check.h"
#include "dump.h"

/* Pages 16 to 47 are present, but for one; from 64 on, all is excluded. */
struct memory {
	unsigned int nr_calls;
	uint64_t hole;
	bool broken;
};

static enum pa_presence presence_of(const struct memory *memory, uint64_t page)
{
	if (page >= 64)
		return PA_EXCLUDED;
	if (page < 16 || page >= 48 || page == memory->hole)
		return PA_UNREADABLE;
	return PA_PRESENT;
}

static struct pa_error *read_memory(void *arg, uint64_t phys, uint64_t length,
				    uint8_t *buffer, enum pa_presence *presence)
{
	struct memory *memory = arg;

	memory->nr_calls++;
	if (memory->broken)
		return pa_error_create(PA_ERROR_OS, "broken");
	*presence = PA_PRESENT;
	for (uint64_t at = phys; at < phys + length; at++) {
		enum pa_presence one = presence_of(memory, at / PAGE);

		if (one != PA_PRESENT) {
			*presence = one;
			break;
		}
	}
	if (*presence == PA_PRESENT)
		dump_fill(buffer, phys, length);
	return NULL;
}

static void test_runs(uint64_t hole)
{
	struct memory memory = { .hole = hole };
	uint64_t nr_holes = hole >= 16 && hole < 48;
	struct pa_source *source;

	CHECK_OK(pa_source_callback(read_memory, &memory, DUMP_VMCOREINFO, true,
				    EM_X86_64, &source));
	CHECK(source->info.live);
	CHECK(source->info.format == PA_SOURCE_CALLBACK);
	CHECK(!strcmp(source->info.vmcoreinfo, DUMP_VMCOREINFO));
	CHECK(source->info.dump_level == -1);
	CHECK(dump_count(source, 0, 80 * PAGE, PA_PRESENT) ==
	      (32 - nr_holes) * PAGE);
	CHECK(dump_count(source, 0, 80 * PAGE, PA_EXCLUDED) == 16 * PAGE);
	/* Not on page boundaries. */
	CHECK(dump_count(source, 16 * PAGE - 5, 40 * PAGE, PA_PRESENT) ==
	      (32 - nr_holes) * PAGE);
	CHECK(dump_count(source, 20 * PAGE + 9, 30, PA_PRESENT) ==
	      (hole == 20 ? 0 : 30));
	pa_source_destroy(source);
}

static void test_read(void)
{
	struct memory memory = { .hole = 20 };
	struct pa_source *source;
	struct pa_reader *reader;
	uint8_t buffer[8 * PAGE];

	CHECK_OK(pa_source_callback(read_memory, &memory, NULL, false, EM_NONE,
				    &source));
	CHECK(!source->info.vmcoreinfo);
	CHECK_OK(pa_reader_create(source, &reader));
	CHECK_OK(pa_reader_read(reader, 16 * PAGE + 1, 100, buffer));
	CHECK(buffer[7] == dump_byte(16 * PAGE + 8));
	/* One call where all is there. */
	memory.nr_calls = 0;
	CHECK_OK(pa_reader_read(reader, 24 * PAGE, sizeof(buffer), buffer));
	CHECK(memory.nr_calls == 1);

	struct pa_error *err =
		pa_reader_read(reader, 18 * PAGE, sizeof(buffer), buffer);

	CHECK_FATAL(err);
	CHECK(err->code == PA_ERROR_UNREADABLE && err->address == 20 * PAGE);
	pa_error_destroy(err);
	CHECK_ERROR(PA_ERROR_EXCLUDED,
		    pa_reader_read(reader, 70 * PAGE, 8, buffer));
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_reader_read(reader, UINT64_MAX - 3, 8, buffer));
	memory.broken = true;
	CHECK_ERROR(PA_ERROR_OS, pa_reader_read(reader, 0, 8, buffer));
	pa_reader_destroy(reader);
	pa_source_destroy(source);
}

int main(void)
{
	for (uint64_t hole = 15; hole < 49; hole++)
		test_runs(hole);
	test_read();
	return CHECK_DONE();
}
