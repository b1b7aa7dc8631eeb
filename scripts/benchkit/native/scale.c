// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * scale THREADS GIB: audits the memory map of a machine of GIB GiB, that is
 * made while it is read (tests/c/machine.h).
 */
#include "bench.h"

#include "checks/audit.h"
#include "machine.h"

int main(int argc, char **argv)
{
	struct pa_kernel *kernel;
	struct pa_audit *audit;
	struct pa_job job;

	if (argc < 3)
		bench_fail("usage: scale THREADS GIB");

	struct machine *m = machine_create(strtoull(argv[2], NULL, 0));
	/* Its page tables and sections are the target's, not the audit's. */
	uint64_t target_bytes = m->fixed_bytes;
	struct bench_time begin = bench_begin();

	bench_ok(pa_kernel_create(&m->base, &m->layout, &kernel));
	pa_job_init(&job, (unsigned int)atoi(argv[1]));
	bench_ok(pa_audit_run(kernel, NULL, NULL, &job, &audit));
	bench_end("audit", begin);
	printf("generate %.6f\n", (double)atomic_load(&m->made_ns) * 1e-9);
	bench_count("pages", audit->census->pages_read);
	bench_count("findings", audit->findings.list.length);
	bench_count("target_bytes", target_bytes);
	/* Nothing is mapped from files here but the program itself. */
	bench_count("peak_bytes", bench_status_bytes("VmHWM"));
	pa_audit_destroy(audit);
	pa_kernel_destroy(kernel);
	pa_source_destroy(&m->base);
	return 0;
}
