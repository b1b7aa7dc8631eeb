// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scan THREADS TIMES DUMP [VMLINUX]: how long the scan of the memory map takes,
 * with its checks of every page, and then the whole audit. The dump is opened
 * anew each time.
 */
#include "bench.h"

#include "checks/audit.h"

/* Parts that are added have a number until they get a name here. */
static const char *const part_names[PA_NR_CENSUS_PARTS] = {
	[PA_CENSUS_SCAN] = "scan", [PA_CENSUS_BUDDY] = "buddy",
	[PA_CENSUS_PCP] = "pcp",   [PA_CENSUS_TAKEN] = "taken",
	[PA_CENSUS_LRU] = "lru",   [PA_CENSUS_HUGETLB] = "hugetlb",
};

struct opened {
	struct pa_source *source;
	struct pa_kernel *kernel;
	struct pa_job job;
};

static struct opened open_dump(const char *path, const struct pa_layout *layout,
			       unsigned int threads)
{
	struct opened opened;
	struct bench_time begin = bench_begin();

	bench_ok(pa_source_open(&path, 1, &opened.source));
	bench_ok(pa_kernel_create(opened.source, layout, &opened.kernel));
	bench_end("open", begin);
	pa_job_init(&opened.job, threads);
	return opened;
}

static void close_dump(struct opened *opened)
{
	pa_kernel_destroy(opened->kernel);
	pa_source_destroy(opened->source);
}

static void scan(struct opened *opened)
{
	const struct pa_kernel *kernel = opened->kernel;
	struct pa_census *census = calloc(1, sizeof(*census));
	struct bench_time begin;

	if (!census)
		bench_fail("out of memory");
	census->kernel = kernel;
	census->classes =
		calloc(kernel->sections.list.length, sizeof(*census->classes));
	census->zones =
		calloc(kernel->zones.list.length + 1, sizeof(*census->zones));
	if (!census->classes || !census->zones)
		bench_fail("out of memory");
	begin = bench_begin();
	bench_ok(pa_census_scan(census, &opened->job));
	bench_end("scan", begin);
	bench_count("pages", census->pages_read);
	pa_census_destroy(census);
}

static void audit(struct opened *opened)
{
	struct pa_audit *audit;
	struct bench_time begin = bench_begin();
	double checks = 0;

	bench_ok(
		pa_audit_run(opened->kernel, NULL, NULL, &opened->job, &audit));
	bench_end("audit", begin);
	for (int i = 0; i < PA_NR_CENSUS_PARTS; i++) {
		char number[16];

		snprintf(number, sizeof(number), "%d", i);
		printf("part_%s %.6f\n", part_names[i] ? part_names[i] : number,
		       audit->census->parts[i].seconds);
	}
	for (int i = 0; i < PA_NR_CHECKS; i++)
		checks += audit->results[i].seconds;
	printf("checks %.6f\n", checks);
	bench_count("findings", audit->findings.list.length);
	/* What the program itself takes, without the file's pages. */
	bench_count("anonymous_bytes", bench_status_bytes("RssAnon"));
	pa_audit_destroy(audit);
}

int main(int argc, char **argv)
{
	struct pa_source *source;
	struct pa_layout layout;

	if (argc < 4)
		bench_fail("usage: scan THREADS TIMES DUMP [VMLINUX]");

	const char *path = argv[3];
	unsigned int threads = (unsigned int)atoi(argv[1]);

	bench_ok(pa_source_open(&path, 1, &source));
	bench_layout(source, argv[4], &layout);
	pa_source_destroy(source);
	for (int i = atoi(argv[2]); i > 0; i--) {
		struct opened opened = open_dump(path, &layout, threads);

		scan(&opened);
		close_dump(&opened);
		opened = open_dump(path, &layout, threads);
		audit(&opened);
		close_dump(&opened);
	}
	return 0;
}
