/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ground truth: what the kernel itself says of its memory, at the instant at
 * which the host stops the machine.
 *
 * Every file is open and every buffer is there, locked and touched, before the
 * first read that counts, so that reading changes the memory map as little as
 * can be. Reading is repeated until two rounds agree. Then the host is told; it
 * stops the machine while this program waits for its answer, and only after
 * that is what was read written to a disk, as a tar stream.
 */
#define _GNU_SOURCE
#include "guest.h"
#include "host.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_FILES 8192
#define MAX_ROUNDS 8
#define ONCE_BYTES (8 * MIB)
#define CHUNK_ENTRIES 4096
#define PM_SOFT_DIRTY (1ULL << 55)

/* Which must be the same in two rounds. */
enum kind { ONCE, EACH, EACH_SAME };

struct file {
	enum kind kind;
	char name[96];
	int fd;
	/* For a pagemap: the maps file of the same process. */
	int maps;
	char *data;
	size_t size;
};

struct area {
	char *start, *next, *end;
};

static struct file files[MAX_FILES];
static struct file last[MAX_FILES];
static int nr_files;
static uint64_t chunk[CHUNK_ENTRIES];

static struct area area_map(size_t size)
{
	struct area a;

	a.start = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (a.start == MAP_FAILED)
		die("buffers of %zu bytes", size);
	memset(a.start, 1, size);
	a.next = a.start;
	a.end = a.start + size;
	return a;
}

static void add_file(enum kind kind, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct file *f = &files[nr_files];

	if (fd < 0 || nr_files >= MAX_FILES - 1)
		return;
	f->kind = kind;
	f->fd = fd;
	f->maps = -1;
	snprintf(f->name, sizeof(f->name), "%s", path + 1);
	nr_files++;
}

static void add_files(enum kind kind, const char *pattern)
{
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		add_file(kind, found.gl_pathv[i]);
	globfree(&found);
}

static void add_processes(void)
{
	glob_t found;
	size_t i;

	if (glob("/proc/[0-9]*", 0, NULL, &found))
		die("/proc");
	for (i = 0; i < found.gl_pathc; i++) {
		char path[128];
		int before = nr_files;

		snprintf(path, sizeof(path), "%s/pagemap", found.gl_pathv[i]);
		add_file(EACH, path);
		if (nr_files == before)
			continue;
		snprintf(path, sizeof(path), "%s/maps", found.gl_pathv[i]);
		files[nr_files - 1].maps = open(path, O_RDONLY | O_CLOEXEC);
		add_file(ONCE, path);
	}
	globfree(&found);
}

/* Append what the file holds to the area. */
static void read_plain(struct file *f, struct area *a)
{
	f->data = a->next;
	for (;;) {
		size_t room = a->end - a->next;
		ssize_t n = pread(f->fd, a->next, room < MIB ? room : MIB,
				  a->next - f->data);

		if (n <= 0)
			break;
		a->next += n;
	}
	f->size = a->next - f->data;
	a->next += -(uintptr_t)a->next & 7;
}

/* Append (address, entry) pairs for all entries that say something. */
static void read_pagemap(struct file *f, struct area *a)
{
	static char maps[64 * 1024];
	size_t length = 0;
	char *line;

	f->data = a->next;
	for (;;) {
		ssize_t n = pread(f->maps, maps + length,
				  sizeof(maps) - 1 - length, length);

		if (n <= 0)
			break;
		length += n;
	}
	maps[length] = 0;
	for (line = maps; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) != 2 ||
		    end > 1UL << 47)
			continue;
		while (start < end) {
			size_t want = (end - start) / PAGE_SIZE, i;
			ssize_t got;

			if (want > CHUNK_ENTRIES)
				want = CHUNK_ENTRIES;
			got = pread(f->fd, chunk, want * 8,
				    start / PAGE_SIZE * 8);
			if (got <= 0)
				break;
			for (i = 0; i < (size_t)got / 8; i++) {
				uint64_t pair[2] = { start + i * PAGE_SIZE,
						     chunk[i] };

				/* Soft-dirty is what holes are, too. */
				if (!(chunk[i] & ~PM_SOFT_DIRTY) ||
				    a->next + 16 > a->end)
					continue;
				memcpy(a->next, pair, 16);
				a->next += 16;
			}
			start += got / 8 * PAGE_SIZE;
		}
	}
	f->size = a->next - f->data;
}

static void read_round(struct area *a)
{
	int i;

	a->next = a->start;
	for (i = 0; i < nr_files; i++) {
		struct file *f = &files[i];

		if (f->kind == ONCE)
			continue;
		if (f->maps >= 0)
			read_pagemap(f, a);
		else
			read_plain(f, a);
	}
	if (a->end - a->next < 4096) {
		errno = ENOSPC;
		die("buffers for a round of truth");
	}
}

/*
 * How this round differs from the last: for the first such file its name, the
 * count of words that differ, and the first of them; NULL when nothing does.
 */
static const char *differs(void)
{
	static char text[192];
	size_t j, first, count;
	int i;

	for (i = 0; i < nr_files; i++) {
		const uint64_t *now = (void *)files[i].data,
			       *then = (void *)last[i].data;

		if (files[i].kind != EACH_SAME)
			continue;
		if (files[i].size != last[i].size) {
			snprintf(text, sizeof(text), "%s:size", files[i].name);
			return text;
		}
		count = first = 0;
		for (j = 0; j < files[i].size / 8; j++)
			if (now[j] != then[j] && !count++)
				first = j;
		if (!count)
			continue;
		snprintf(text, sizeof(text), "%s:%zu:%zu:%#lx:%#lx",
			 files[i].name, count, first, then[first], now[first]);
		return text;
	}
	return NULL;
}

/* Where the direct map begins, by the program headers of /proc/kcore. */
static uint64_t direct_map(void)
{
	uint64_t base = 0;
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	int fd = open("/proc/kcore", O_RDONLY), i;

	if (fd < 0 || pread(fd, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr))
		return 0;
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (pread(fd, &phdr, sizeof(phdr),
			  ehdr.e_phoff + i * sizeof(phdr)) != sizeof(phdr))
			break;
		if (phdr.p_type == PT_LOAD && phdr.p_paddr != -1UL &&
		    (!base || phdr.p_vaddr - phdr.p_paddr < base))
			base = phdr.p_vaddr - phdr.p_paddr;
	}
	close(fd);
	return base;
}

static size_t count_bytes(const char *path)
{
	size_t total = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (n = pread(fd, chunk, sizeof(chunk), total)) > 0)
		total += n;
	close(fd);
	return total;
}

static void write_tar(const char *device)
{
	static char block[512];
	int fd = open(device, O_WRONLY), i;
	size_t j;

	if (fd < 0)
		die("%s", device);
	for (i = 0; i < nr_files; i++) {
		struct file *f = &files[i];
		unsigned int sum = 0;

		memset(block, 0, sizeof(block));
		snprintf(block, 100, "%s", f->name);
		strcpy(block + 100, "0000644");
		strcpy(block + 108, "0000000");
		strcpy(block + 116, "0000000");
		snprintf(block + 124, 12, "%011lo", f->size);
		strcpy(block + 136, "00000000000");
		memset(block + 148, ' ', 8);
		block[156] = '0';
		memcpy(block + 257, "ustar\00000", 8);
		for (j = 0; j < sizeof(block); j++)
			sum += (unsigned char)block[j];
		snprintf(block + 148, 8, "%06o", sum);
		write_whole(fd, block, sizeof(block));
		write_whole(fd, f->data, f->size);
		memset(block, 0, sizeof(block));
		write_whole(fd, block, -f->size & 511);
	}
	memset(block, 0, sizeof(block));
	write_whole(fd, block, sizeof(block));
	write_whole(fd, block, sizeof(block));
	if (fsync(fd))
		die("%s", device);
	close(fd);
}

/*
 * truth DEVICE [pages] [tasks] [devices]: with the per-page files where the
 * machine is not too large, those of tasks where there are not too many, and
 * those of device memory where none of it is being torn down.
 */
static int run_truth(int argc, char **argv)
{
	static const char *const once[] = {
		"/proc/iomem",
		"/proc/pagetypeinfo",
		"/proc/slabinfo",
		"/proc/modules",
		"/proc/mounts",
		"/proc/cmdline",
		"/proc/version",
		"/proc/swaps",
		"/run/events",
		"/run/owners",
		"/proc/vmallocinfo",
		"/proc/[0-9]*/comm",
		"/proc/[0-9]*/status",
		"/proc/[0-9]*/stack",
		"/proc/[0-9]*/wchan",
		"/sys/kernel/mm/hugepages/*/*",
		"/sys/kernel/mm/ksm/*",
		"/sys/kernel/mm/transparent_hugepage/*",
		"/sys/devices/system/node/node*/hugepages/*/*",
		"/sys/devices/system/node/node*/memory_failure/*",
		"/sys/devices/system/memory/block_size_bytes",
		"/sys/devices/system/memory/memory*/state",
		"/sys/devices/system/memory/memory*/valid_zones",
		"/sys/devices/system/memory/memory*/phys_index",
	};
	/* Who reads these waits for who has the device in hand, for ever maybe. */
	static const char *const of_devices[] = {
		"/sys/bus/nd/devices/*/resource",
		"/sys/bus/nd/devices/*/size",
		"/sys/bus/nd/devices/*/mode",
		"/sys/bus/nd/devices/*/align",
		"/sys/bus/nd/devices/*/namespace",
		"/sys/bus/nd/devices/*/modalias",
		"/sys/bus/dax/devices/*/resource",
		"/sys/bus/dax/devices/*/size",
		"/sys/bus/dax/devices/*/align",
	};
	static const char *const of_tasks[] = {
		"/proc/[0-9]*/comm",
		"/proc/[0-9]*/status",
		"/proc/[0-9]*/stack",
		"/proc/[0-9]*/wchan",
	};
	bool pages = false, tasks = false, devices = false;
	char ready[256], reply[64];
	const char *differing = "-";
	struct area keep, round[2];
	struct rlimit limit = { 65536, 65536 };
	size_t page_bytes = 0, bytes;
	uint64_t base = direct_map();
	int port = host_open(), rounds, i;
	FILE *refresh;

	if (argc < 2) {
		fprintf(stderr,
			"usage: truth DEVICE [pages] [tasks] [devices]\n");
		return 64;
	}
	for (i = 2; i < argc; i++) {
		pages |= !strcmp(argv[i], "pages");
		tasks |= !strcmp(argv[i], "tasks");
		devices |= !strcmp(argv[i], "devices");
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < (int)(sizeof(once) / sizeof(once[0])); i++)
		add_files(ONCE, once[i]);
	for (i = 0; tasks && i < (int)(sizeof(of_tasks) / sizeof(of_tasks[0]));
	     i++)
		add_files(ONCE, of_tasks[i]);
	for (i = 0;
	     devices && i < (int)(sizeof(of_devices) / sizeof(of_devices[0]));
	     i++)
		add_files(ONCE, of_devices[i]);
	if (tasks)
		add_processes();
	if (pages) {
		page_bytes = count_bytes("/proc/kpageflags");
		add_file(EACH_SAME, "/proc/kpageflags");
		add_file(EACH_SAME, "/proc/kpagecount");
	}
	add_file(EACH, "/proc/meminfo");
	add_file(EACH, "/proc/vmstat");
	add_file(EACH_SAME, "/proc/zoneinfo");
	add_file(EACH_SAME, "/proc/buddyinfo");

	bytes = page_bytes * 2 + (page_bytes ? 32 : 12) * MIB;
	keep = area_map(ONCE_BYTES);
	round[0] = area_map(bytes);
	round[1] = area_map(bytes);
	if (mlockall(MCL_CURRENT))
		die("mlockall");

	for (i = 0; i < nr_files; i++)
		if (files[i].kind == ONCE)
			read_plain(&files[i], &keep);
	files[nr_files].data = keep.next;
	i = klogctl(3, keep.next, keep.end - keep.next);
	files[nr_files].size = i > 0 ? i : 0;
	strcpy(files[nr_files].name, "dmesg");

	refresh = fopen("/proc/sys/vm/stat_refresh", "w");
	for (rounds = 0; rounds < MAX_ROUNDS; rounds++) {
		/* Let what the last round started (writeback, deferred frees) come to rest. */
		usleep(200 * 1000);
		if (refresh) {
			fputs("1", refresh);
			fflush(refresh);
			rewind(refresh);
		}
		read_round(&round[rounds & 1]);
		if (rounds && !(differing = differs()))
			break;
		memcpy(last, files, sizeof(files));
	}
	snprintf(ready, sizeof(ready),
		 "ready direct_map=%#lx rounds=%d differing=%s pid=%d\n", base,
		 rounds + 1, differing ?: "-", getpid());
	host_ask(port, ready, reply, sizeof(reply));

	nr_files++;
	write_tar(argv[1]);
	host_ask(port, "done\n", reply, sizeof(reply));
	return 0;
}

const struct command truth_commands[] = {
	{ "truth", run_truth },
	{ NULL, NULL },
};
