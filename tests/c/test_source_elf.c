// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"
#include "dump.h"
#include "elf_writer.h"

static void test_plain(uint64_t phoff)
{
	/* Unsorted, and with ends within a page, as q35's low memory has. */
	const struct elf_segment segments[] = {
		{ 0x100000, ELF_DATA + 0x2000, 0x4000, 0x4000 },
		{ NO_PHYS, ELF_DATA, 0x1000, 0x1000 },
		{ 0, ELF_DATA, 0x1c00, 0x1c00 },
	};
	struct memory_file file = elf_write(segments, 3, phoff);
	struct pa_source *source;
	struct pa_reader *reader;
	uint8_t buffer[0x4000];

	elf_write_memory(&file, ELF_DATA, 0, 0x1c00);
	elf_write_memory(&file, ELF_DATA + 0x2000, 0x100000, 0x4000);
	CHECK_OK(memory_file_open(&file, &source));
	dump_check_facts(source);
	CHECK(source->info.format == PA_SOURCE_ELF);
	CHECK(source->info.complete && !source->info.live);
	CHECK(!source->info.from_hypervisor);
	CHECK(source->info.ranges.length == 2);
	CHECK(source->info.ranges.items[0].end == 0x1c00);
	CHECK(source->info.ranges.items[1].start == 0x100000);
	CHECK(dump_count(source, 0, 0x200000, PA_PRESENT) == 0x5c00);
	CHECK(dump_count(source, 0, 0x200000, PA_EXCLUDED) == 0);

	/* Runs point into the file: nothing is copied. */
	struct pa_run run;

	CHECK_OK(pa_reader_create(source, &reader));
	memset(buffer, 0xaa, sizeof(buffer));
	CHECK_OK(pa_reader_run(reader, 0x100000, sizeof(buffer), buffer, &run));
	CHECK(run.data != buffer && run.length == sizeof(buffer));
	CHECK(buffer[0] == 0xaa);
	CHECK_OK(pa_reader_run(reader, 0x1c00, 1 << 30, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE);
	CHECK(run.length == 0x100000 - 0x1c00);
	CHECK_OK(pa_reader_run(reader, UINT64_MAX - 10, 100, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length);
	CHECK_OK(pa_reader_run(reader, UINT64_MAX, 100, buffer, &run));
	CHECK(run.presence == PA_UNREADABLE && run.length);
	CHECK_OK(pa_reader_read(reader, 0x100010, 0x3ff0, buffer));
	CHECK_ERROR(PA_ERROR_UNREADABLE,
		    pa_reader_read(reader, 0x103ff0, 32, buffer));
	pa_reader_destroy(reader);
	pa_source_destroy(source);
	close(file.fd);
}

/* What is expected is a hint, whatever it names. */
static void test_expect(void)
{
	enum { BYTES = 5 << 20 };
	const struct elf_segment segments[] = {
		{ 0x1c00, ELF_DATA + 0x400, BYTES, 2 * BYTES },
		{ UINT64_C(1) << 40, ELF_DATA + 0x400 + BYTES, 8, 8 },
	};
	struct memory_file file = elf_write(segments, 2, 64);
	struct pa_source *source;

	elf_write_memory(&file, ELF_DATA + 0x400, 0x1c00, BYTES);
	elf_write_memory(&file, ELF_DATA + 0x400 + BYTES, segments[1].paddr, 8);
	CHECK_OK(memory_file_open(&file, &source));
	pa_source_expect(source, 0, UINT64_MAX);
	pa_source_expect(source, 0x2345, 4 << 20);
	pa_source_expect(source, UINT64_MAX, 1);
	pa_source_expect(source, 0x1c00, 0);
	CHECK(dump_count(source, 0, 4 * BYTES, PA_PRESENT) == BYTES);
	CHECK(dump_count(source, segments[1].paddr, PAGE, PA_PRESENT) == 8);
	pa_source_destroy(source);
	close(file.fd);
}

/* The kernel image is there twice, and a later segment cuts a larger one. */
static void test_overlap(void)
{
	const struct elf_segment segments[] = {
		{ 0x1000, ELF_DATA, 0x3000, 0x3000 },
		{ 0, ELF_DATA + 0x3000, 0x8000, 0x8000 },
		{ 0x5000, ELF_DATA + 0x3000 + 0x5000, 0x1000, 0x6000 },
		{ 0x9000, ELF_DATA + 0xb000, 0, 0x1000 },
	};
	struct memory_file file = elf_write(segments, 4, 64);
	struct pa_source *source;

	elf_write_memory(&file, ELF_DATA, 0x1000, 0x3000);
	elf_write_memory(&file, ELF_DATA + 0x3000, 0, 0x8000);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(source->info.ranges.length == 1);
	CHECK(dump_count(source, 0, 0x10000, PA_PRESENT) == 0x8000);
	CHECK(dump_count(source, 0, 0x10000, PA_EXCLUDED) == 0x3000);
	CHECK(dump_count(source, 0, 0x10000, PA_UNREADABLE) == 0x5000);
	pa_source_destroy(source);
	close(file.fd);
}

/* makedumpfile -E: what a segment has in memory only was filtered out. */
static void test_excluded(void)
{
	enum { NR = 3000 };
	struct elf_segment *segments = calloc(NR, sizeof(*segments));
	struct pa_source *source;

	CHECK_FATAL(segments);
	for (uint64_t i = 0; i < NR; i++)
		segments[i] = (struct elf_segment){ i * 3 * PAGE,
						    (1 << 20) + i * PAGE, PAGE,
						    3 * PAGE };

	struct memory_file file = elf_write(segments, NR, 0x9000);

	for (uint64_t i = 0; i < NR; i++)
		elf_write_memory(&file, segments[i].offset, segments[i].paddr,
				 PAGE);
	CHECK_OK(memory_file_open(&file, &source));
	dump_check_facts(source);
	CHECK(source->info.complete);
	CHECK(source->info.ranges.length == 1);
	CHECK(dump_count(source, 0, NR * 3 * PAGE, PA_PRESENT) == NR * PAGE);
	CHECK(dump_count(source, 0, NR * 3 * PAGE, PA_EXCLUDED) ==
	      NR * 2 * PAGE);

	struct pa_reader *reader;
	uint8_t byte;

	CHECK_OK(pa_reader_create(source, &reader));

	struct pa_error *err = pa_reader_read(reader, PAGE, 1, &byte);

	CHECK_FATAL(err);
	CHECK(err->code == PA_ERROR_EXCLUDED && err->address == PAGE);
	pa_error_destroy(err);
	pa_reader_destroy(reader);
	pa_source_destroy(source);
	close(file.fd);
	free(segments);
}

static void test_cut_short(void)
{
	const struct elf_segment segments[] = {
		{ 0, ELF_DATA, 0x4000, 0x6000 },
		{ 0x10000, ELF_DATA + 0x4000, 0x4000, 0x4000 },
	};
	struct memory_file file = elf_write(segments, 2, 64);
	struct pa_source *source;

	elf_write_memory(&file, ELF_DATA, 0, 0x4000);
	elf_write_memory(&file, ELF_DATA + 0x4000, 0x10000, 0x1234);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(strstr(source->info.incomplete_reason, "cut short"));
	CHECK(dump_count(source, 0, 0x20000, PA_PRESENT) == 0x5234);
	CHECK(dump_count(source, 0, 0x20000, PA_EXCLUDED) == 0x2000);
	pa_source_destroy(source);

	/* Even before the first byte of memory. */
	CHECK_FATAL(!ftruncate(file.fd, 0x9000));
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(dump_count(source, 0, 0x20000, PA_PRESENT) == 0);
	CHECK(dump_count(source, 0, 0x20000, PA_EXCLUDED) == 0x2000);
	pa_source_destroy(source);
	CHECK_FATAL(!ftruncate(file.fd, 100));
	CHECK_ERROR(PA_ERROR_FORMAT, memory_file_open(&file, &source));
	CHECK_FATAL(!ftruncate(file.fd, 20));
	CHECK_ERROR(PA_ERROR_FORMAT, memory_file_open(&file, &source));
	close(file.fd);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* A file that shrinks under us, as a bad disk does: absent, not SIGBUS. */
static void test_shrinks(void)
{
	const struct elf_segment segment = { 0, ELF_DATA, 0x40000, 0x40000 };
	struct memory_file file = elf_write(&segment, 1, 64);
	struct pa_source *source;
	void *probe =
		mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_FATAL(probe != MAP_FAILED);
	elf_write_memory(&file, ELF_DATA, 0, 0x40000);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK_FATAL(!ftruncate(file.fd, ELF_DATA + 0x13000));
	/* Kernels before 5.14 do not tell. */
	if (!madvise(probe, PAGE, MADV_POPULATE_READ)) {
		CHECK(dump_count(source, 0, 0x40000, PA_PRESENT) == 0x13000);
		CHECK(dump_count(source, 0, 0x40000, PA_UNREADABLE) == 0x2d000);
	}
	munmap(probe, PAGE);
	pa_source_destroy(source);
	close(file.fd);
}

static void test_incomplete_flag(void)
{
	const struct elf_segment segment = { 0, ELF_DATA, PAGE, PAGE };
	struct memory_file file = elf_write(&segment, 1, 64);
	const uint32_t flags = 1;
	struct pa_source *source;

	elf_write_memory(&file, ELF_DATA, 0, PAGE);
	memory_file_write(&file, offsetof(Elf64_Ehdr, e_flags), &flags,
			  sizeof(flags));
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	pa_source_destroy(source);
	close(file.fd);
}

/* More segments than e_phnum can say: section header 0 has the number. */
static void test_xnum(void)
{
	const struct elf_segment segment = { 0, ELF_DATA, PAGE, PAGE };
	struct memory_file file = elf_write(&segment, 1, 64);
	const uint16_t phnum = PN_XNUM;
	const uint64_t shoff = 0x4000;
	Elf64_Shdr shdr = { .sh_info = 2 };
	struct pa_source *source;

	elf_write_memory(&file, ELF_DATA, 0, PAGE);
	memory_file_write(&file, offsetof(Elf64_Ehdr, e_phnum), &phnum,
			  sizeof(phnum));
	CHECK_ERROR(PA_ERROR_FORMAT, memory_file_open(&file, &source));
	memory_file_write(&file, offsetof(Elf64_Ehdr, e_shoff), &shoff,
			  sizeof(shoff));
	memory_file_write(&file, shoff, &shdr, sizeof(shdr));
	CHECK_OK(memory_file_open(&file, &source));
	dump_check_facts(source);
	CHECK(dump_count(source, 0, PAGE, PA_PRESENT) == PAGE);
	pa_source_destroy(source);
	shdr.sh_info = UINT32_MAX;
	memory_file_write(&file, shoff, &shdr, sizeof(shdr));
	CHECK_ERROR(PA_ERROR_FORMAT, memory_file_open(&file, &source));
	close(file.fd);
}

/* Numbers that overflow when they are added up. */
static void test_hostile(void)
{
	const struct elf_segment segments[] = {
		{ 0, ELF_DATA, PAGE, PAGE },
		{ 0x10000, UINT64_MAX - 0x800, 0x1000, 0x1000 },
		{ 0x20000, ELF_DATA, UINT64_MAX, UINT64_MAX },
		{ (UINT64_C(1) << 52) - 0x1000, ELF_DATA, 0x2000, 0x2000 },
		{ UINT64_C(1) << 52, ELF_DATA, 0x2000, 0x2000 },
		{ 0x30000, UINT64_MAX, UINT64_MAX, UINT64_MAX },
		{ 0x40000, 0, 0, UINT64_MAX },
	};
	struct memory_file file = elf_write(segments, 7, 64);
	struct pa_source *source;
	uint64_t memory_end;

	elf_write_memory(&file, ELF_DATA, 0, PAGE);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	CHECK(dump_count(source, 0, 0x10000, PA_PRESENT) == PAGE);
	memory_end =
		source->info.ranges.items[source->info.ranges.length - 1].end;
	CHECK(memory_end == UINT64_C(1) << 52);
	pa_source_destroy(source);
	close(file.fd);
}

/* Each with a sentence of its own, which names the file. */
static void check_refusal(const struct memory_file *file,
			  enum pa_error_code code, const char *words)
{
	struct pa_source *source;
	struct pa_error *err = memory_file_open(file, &source);

	CHECK_FATAL(err);
	CHECK(err->code == code);
	CHECK(strstr(err->message, words));
	CHECK(strstr(err->message, file->path));
	if (!strstr(err->message, words))
		fprintf(stderr, "%s\n", err->message);
	pa_error_destroy(err);
}

static void test_other_elf(void)
{
	const struct elf_segment segment = { 0, ELF_DATA, PAGE, PAGE };
	const struct {
		size_t offset;
		uint16_t value;
		uint32_t bytes;
		enum pa_error_code code;
		const char *words;
	} changes[] = {
		{ offsetof(Elf64_Ehdr, e_type), ET_EXEC, 2, PA_ERROR_FORMAT,
		  "vmlinux" },
		{ offsetof(Elf64_Ehdr, e_type), ET_DYN, 2, PA_ERROR_FORMAT,
		  "executable" },
		{ offsetof(Elf64_Ehdr, e_type), ET_REL, 2, PA_ERROR_FORMAT,
		  "module" },
		{ offsetof(Elf64_Ehdr, e_type), 77, 2, PA_ERROR_FORMAT,
		  "type 77" },
		{ offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2,
		  PA_ERROR_UNSUPPORTED, "AArch64" },
		{ offsetof(Elf64_Ehdr, e_machine), EM_S390, 2,
		  PA_ERROR_UNSUPPORTED, "s390x" },
		{ offsetof(Elf64_Ehdr, e_machine), 4711, 2,
		  PA_ERROR_UNSUPPORTED, "4711" },
		{ EI_CLASS, ELFCLASS32, 1, PA_ERROR_UNSUPPORTED, "32-bit" },
		{ EI_DATA, 3, 1, PA_ERROR_FORMAT, "byte order" },
		{ offsetof(Elf64_Ehdr, e_phnum), 0, 2, PA_ERROR_FORMAT,
		  "segments" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 32, 2, PA_ERROR_FORMAT,
		  "program headers" },
		{ offsetof(Elf64_Ehdr, e_phoff) + 6, 1, 2, PA_ERROR_FORMAT,
		  "program headers" },
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct memory_file file = elf_write(&segment, 1, 64);

		elf_write_memory(&file, ELF_DATA, 0, PAGE);
		memory_file_write(&file, changes[i].offset, &changes[i].value,
				  changes[i].bytes);
		check_refusal(&file, changes[i].code, changes[i].words);
		close(file.fd);
	}

	/* A process: it has no physical addresses, but an NT_AUXV. */
	struct memory_file file = elf_write(&segment, 1, 64);
	uint8_t notes[64] = { 0 };
	Elf64_Phdr phdr = {
		.p_type = PT_NOTE,
		.p_offset = ELF_NOTES,
		.p_filesz = dump_note(notes, 0, "CORE", NT_AUXV, "auxv", 4),
	};

	memory_file_write(&file, ELF_NOTES, notes, sizeof(notes));
	memory_file_write(&file, 64, &phdr, sizeof(phdr));
	check_refusal(&file, PA_ERROR_FORMAT, "process");
	close(file.fd);

	/* Virtual memory alone. */
	const struct elf_segment no_phys = { NO_PHYS, ELF_DATA, PAGE, PAGE };

	file = elf_write(&no_phys, 1, 64);
	check_refusal(&file, PA_ERROR_FORMAT, "physical");
	close(file.fd);

	/* More in the file than in memory: no program header at all. */
	const struct elf_segment too_much = { 0, ELF_DATA, PAGE + 1, PAGE };

	file = elf_write(&too_much, 1, 64);
	check_refusal(&file, PA_ERROR_FORMAT, "damaged");
	close(file.fd);

	/* s390x as it is: big-endian. */
	const uint8_t s390[64] = { 0x7f,	'E', 'L',     'F', ELFCLASS64,
				   ELFDATA2MSB, 1,   0,	      0,   0,
				   0,		0,   0,	      0,   0,
				   0,		0,   ET_CORE, 0,   EM_S390 };

	file = memory_file_of(s390, sizeof(s390));
	check_refusal(&file, PA_ERROR_UNSUPPORTED, "s390x");
	close(file.fd);
}

static void test_no_dump(void)
{
	const uint8_t binary[100] = { 1, 2, 3, 0xff };
	struct memory_file file = memory_file_create();
	struct pa_source *source;
	const char *paths[2] = { "/nonexistent/vmcore", file.path };

	check_refusal(&file, PA_ERROR_FORMAT, "empty");
	close(file.fd);
	file = memory_file_of("#!/bin/sh\necho h\xc3\xa4\n", 19);
	check_refusal(&file, PA_ERROR_FORMAT, "text");
	close(file.fd);
	file = memory_file_of("\x1f\x8b\x08", 4);
	check_refusal(&file, PA_ERROR_FORMAT, "gzip");
	close(file.fd);
	file = memory_file_of(binary, sizeof(binary));
	check_refusal(&file, PA_ERROR_FORMAT, "not a kernel dump");
	paths[0] = file.path;
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 2, &source));
	close(file.fd);

	paths[0] = "/nonexistent/vmcore";
	CHECK_ERROR(PA_ERROR_OS, pa_source_open(paths, 1, &source));
	paths[0] = "/";
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 1, &source));
	paths[0] = "/dev/null";
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 1, &source));
	CHECK_ERROR(PA_ERROR_INVALID, pa_source_open(paths, 0, &source));
	CHECK_FATAL(!mkfifo("fifo", 0600) || access("fifo", F_OK) == 0);
	paths[0] = "fifo";
	CHECK_ERROR(PA_ERROR_FORMAT, pa_source_open(paths, 1, &source));
	unlink("fifo");
}

static void put_record(const struct memory_file *file, uint64_t *at,
		       int64_t offset, int64_t length, const void *bytes)
{
	const uint64_t record[2] = { __builtin_bswap64((uint64_t)offset),
				     __builtin_bswap64((uint64_t)length) };

	memory_file_write(file, *at, record, sizeof(record));
	*at += sizeof(record);
	if (bytes)
		memory_file_write(file, *at, bytes, (size_t)length);
	if (length > 0)
		*at += (uint64_t)length;
}

/* makedumpfile -F -E: records out of order, the header written twice. */
static void test_flattened(void)
{
	const struct elf_segment segments[] = {
		{ 0, ELF_DATA, 0x3000, 0x3000 },
		{ 0x8000, ELF_DATA + 0x3000, 0x2000, 0x4000 },
	};
	struct memory_file plain = elf_write(segments, 2, 64);
	struct memory_file file = memory_file_create();
	uint8_t bytes[ELF_DATA + 0x5000], head[4096] = "makedumpfile";
	const uint64_t one = __builtin_bswap64(1);
	struct pa_source *source;
	uint64_t at = sizeof(head);

	elf_write_memory(&plain, ELF_DATA, 0, 0x3000);
	elf_write_memory(&plain, ELF_DATA + 0x3000, 0x8000, 0x2000);
	CHECK_FATAL(pread(plain.fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
	memcpy(head + 16, &one, 8);
	memcpy(head + 24, &one, 8);
	memory_file_write(&file, 0, head, sizeof(head));
	put_record(&file, &at, 0, 64,
		   "this is no ELF header: it comes later, "
		   "at the end of the stream...");
	put_record(&file, &at, ELF_DATA + 0x1800, 0x3800,
		   bytes + ELF_DATA + 0x1800);
	put_record(&file, &at, 64, ELF_DATA + 0x1800 - 64, bytes + 64);
	put_record(&file, &at, 0, 64, bytes);

	uint64_t end = at;

	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	pa_source_destroy(source);
	put_record(&file, &at, -1, -1, NULL);
	CHECK_OK(memory_file_open(&file, &source));
	dump_check_facts(source);
	CHECK(source->info.complete);
	CHECK(strstr(source->info.format_name, "flattened"));
	CHECK(dump_count(source, 0, 0x10000, PA_PRESENT) == 0x5000);
	CHECK(dump_count(source, 0, 0x10000, PA_EXCLUDED) == 0x2000);
	pa_source_destroy(source);

	/* No byte of this may be trusted. */
	put_record(&file, &end, INT64_MAX - 1, INT64_MAX - 1, NULL);
	CHECK_OK(memory_file_open(&file, &source));
	CHECK(!source->info.complete);
	pa_source_destroy(source);
	close(file.fd);
	close(plain.fd);
	file = memory_file_of(head, sizeof(head));
	check_refusal(&file, PA_ERROR_FORMAT, "flattened");
	close(file.fd);
}

int main(void)
{
	test_plain(64);
	test_plain(0x9000);
	test_expect();
	test_overlap();
	test_excluded();
	test_cut_short();
	test_shrinks();
	test_incomplete_flag();
	test_xnum();
	test_hostile();
	test_other_elf();
	test_no_dump();
	test_flattened();
	return CHECK_DONE();
}
