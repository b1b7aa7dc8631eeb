// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bench.h"

#include "types/dwarf.h"
#include "types/target.h"

uint64_t bench_status_bytes(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t length = strlen(name);
	unsigned long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && line[length] == ':')
			sscanf(line + length + 1, "%llu", &kib);
	if (file)
		fclose(file);
	return kib * 1024;
}

void bench_layout(struct pa_source *source, const char *vmlinux,
		  struct pa_layout *layout)
{
	struct pa_reader *reader;
	struct pa_error *err;

	bench_ok(pa_reader_create(source, &reader));
	err = pa_layout_from_target(reader, layout, NULL);
	pa_reader_destroy(reader);
	if (err && err->code == PA_ERROR_MISSING && vmlinux) {
		pa_error_destroy(err);
		err = pa_layout_from_dwarf(
			&vmlinux, 1, pa_target_kaslr_offset(&source->info),
			NULL, layout);
	}
	bench_ok(err);
}

static void add_run(struct pa_memmap *memmap, const struct pa_memmap_run *run,
		    struct bench_spans *ret)
{
	const struct pa_kernel *kernel = memmap->kernel;
	uint64_t bytes = run->nr * kernel->page_format.size;
	uint64_t phys =
		memmap->phys + (pa_pfn_to_page(kernel, run->pfn) - memmap->va);
	struct bench_span *last = ret->length ? &ret->items[ret->length - 1] :
						NULL;

	ret->pages += run->nr;
	if (last && last->phys + last->bytes == phys)
		last->bytes += bytes;
	else if (!pa_array_append(ret, (struct bench_span){ phys, bytes }))
		bench_ok(&pa_error_no_memory);
}

void bench_memmap_spans(const struct pa_kernel *kernel, struct bench_spans *ret)
{
	const struct pa_sections *sections = &kernel->sections;
	struct pa_memmap *memmap;

	bench_ok(pa_memmap_create(kernel, &memmap));
	pa_array_for_each(section, &sections->list) {
		uint64_t pfn = section->nr << sections->pages_shift;
		uint64_t section_end = pfn + sections->pages, end;

		for (; pfn < section_end; pfn = end) {
			enum pa_pfn_state state = pa_pfn_state_run(
				kernel, pfn, section_end, &end);

			while (state == PA_PFN_ONLINE && pfn < end) {
				struct pa_memmap_run run;

				bench_ok(pa_memmap_run(memmap, pfn, end - pfn,
						       &run));
				if (run.presence == PA_PRESENT)
					add_run(memmap, &run, ret);
				pfn += run.nr;
			}
		}
	}
	pa_memmap_destroy(memmap);
}
