// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.memory(): the map of physical memory as plain Python data. */
#include "python/kernel_type.h"

#define ULL(x) ((unsigned long long)(x))

static const char *const part_names[PA_NR_PARTS] = {
	[PA_PART_CPUS] = "CPUs",
	[PA_PART_ZONES] = "zones",
	[PA_PART_BLOCKS] = "memory blocks",
	[PA_PART_PGMAPS] = "device memory",
};

static bool append_unread(PyObject *list, const char *part, PyObject *why)
{
	return pa_py_append(list, Py_BuildValue("{s:s,s:N}", "part", part,
						"why", why));
}

static bool append_unreadable(PyObject *list, const char *part, uint64_t nr,
			      const char *what)
{
	return !nr ||
	       append_unread(list, part,
			     PyUnicode_FromFormat("%llu %s could not be read",
						  ULL(nr), what));
}

/* What is there and could not be read; not what this kernel has not. */
static PyObject *unread_list(const struct pa_kernel *kernel)
{
	PyObject *list = PyList_New(0);
	uint64_t inexact = 0;
	bool ok = list;

	for (size_t i = 0; i < kernel->zones.list.length; i++)
		inexact += !kernel->zones.list.items[i].stats_exact;
	for (int i = 0; ok && i < PA_NR_PARTS; i++) {
		const struct pa_error *err = kernel->parts[i];

		ok = !err || err->code == PA_ERROR_MISSING ||
		     append_unread(list, part_names[i],
				   PyUnicode_FromString(err->message));
	}
	ok = ok &&
	     append_unreadable(list, "sections",
			       kernel->sections.unreadable_roots,
			       "pages of the section table") &&
	     append_unreadable(list, part_names[PA_PART_ZONES], inexact,
			       "of their tables of counters") &&
	     append_unreadable(list, part_names[PA_PART_BLOCKS],
			       kernel->blocks.unreadable, "of them") &&
	     append_unreadable(list, part_names[PA_PART_PGMAPS],
			       kernel->pgmaps.unreadable, "of its maps");
	if (!ok)
		Py_CLEAR(list);
	return list;
}

static PyObject *zone_list(const struct pa_kernel *kernel)
{
	PyObject *list = PyList_New(0);
	const struct pa_zones *zones = &kernel->zones;

	for (size_t i = 0; list && i < zones->list.length; i++) {
		const struct pa_zone *zone = &zones->list.items[i];
		int64_t nr;
		PyObject *free_pages =
			zone->stats_exact && pa_zone_free_pages(kernel->layout,
								zone, &nr) ?
				PyLong_FromLongLong(nr) :
				Py_NewRef(Py_None);

		if (!pa_py_append(
			    list,
			    Py_BuildValue("{s:I,s:s,s:K,s:K,s:K,s:K,s:N,s:K}",
					  "node", zone->node, "name",
					  zone->name, "start_pfn",
					  ULL(zone->start_pfn), "spanned",
					  ULL(zone->spanned), "present",
					  ULL(zone->present), "managed",
					  ULL(zone->managed), "free",
					  free_pages, "nr_isolate_pageblock",
					  ULL(zone->nr_isolate_pageblock))))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *altmap_dict(const struct pa_pgmap *map)
{
	if (!map->has_altmap)
		return Py_NewRef(Py_None);
	return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K}", "base_pfn",
			     ULL(map->altmap_base_pfn), "end_pfn",
			     ULL(map->altmap_end_pfn), "reserve",
			     ULL(map->altmap_reserve), "free",
			     ULL(map->altmap_free), "alloc",
			     ULL(map->altmap_alloc));
}

/* The percpu_ref that holds the pgmap; None where it could not be read. */
static PyObject *reference_dict(const struct pa_pgmap *map)
{
	const struct pa_percpu_ref *ref = &map->ref;
	PyObject *count;

	if (!ref->address)
		return Py_NewRef(Py_None);
	count = ref->count_known ? PyLong_FromLongLong(ref->count) :
				   Py_NewRef(Py_None);
	if (!count)
		return NULL;
	return Py_BuildValue("{s:N,s:O,s:O,s:N}", "address",
			     pa_py_hex(ref->address), "atomic",
			     ref->atomic ? Py_True : Py_False, "dead",
			     ref->dead ? Py_True : Py_False, "count", count);
}

static PyObject *range_list(const struct pa_pgmaps *pgmaps, uint32_t map)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < pgmaps->ranges.length; i++) {
		const struct pa_pgmap_range *range = &pgmaps->ranges.items[i];

		if (range->map == map &&
		    !pa_py_append(list, Py_BuildValue("[KK]", ULL(range->pfn),
						      ULL(range->pfn_end))))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *pgmap_list(const struct pa_kernel *kernel)
{
	PyObject *list = PyList_New(0);
	const struct pa_pgmaps *pgmaps = &kernel->pgmaps;

	for (size_t i = 0; list && i < pgmaps->maps.length; i++) {
		const struct pa_pgmap *map = &pgmaps->maps.items[i];
		PyObject *ranges = range_list(pgmaps, (uint32_t)i);
		PyObject *altmap = ranges ? altmap_dict(map) : NULL;
		PyObject *reference = altmap ? reference_dict(map) : NULL;

		if (!reference) {
			Py_CLEAR(ranges);
			Py_CLEAR(altmap);
		}
		if (!ranges ||
		    !pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:s,s:s,s:s,s:N,s:N,s:N,s:K,s:O,s:N}",
				    "type", pa_pgmap_type_names[map->type],
				    "device", map->device, "disk", map->disk,
				    "ranges", ranges, "altmap", altmap,
				    "address", pa_py_hex(map->address),
				    "vmemmap_shift", ULL(map->vmemmap_shift),
				    "dead",
				    !map->dead_known ? Py_None :
				    map->dead	     ? Py_True :
						       Py_False,
				    "reference", reference)))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *block_list(const struct pa_kernel *kernel)
{
	PyObject *list = PyList_New(0);
	const struct pa_blocks *blocks = &kernel->blocks;

	for (size_t i = 0; list && i < blocks->list.length; i++) {
		const struct pa_block *block = &blocks->list.items[i];
		uint64_t pfn, end;

		/* The check of sections tells of one that lies nowhere. */
		if (!pa_block_range(kernel, block, &pfn, &end))
			continue;
		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:K,s:s,s:K,s:K}", "id", ULL(block->id),
				    "state", pa_block_state_names[block->state],
				    "pfn", ULL(pfn), "pfn_end", ULL(end))))
			Py_CLEAR(list);
	}
	return list;
}

/* Runs of one state over all sections that exist; absent memory left out. */
static PyObject *state_map(const struct pa_kernel *kernel)
{
	const struct pa_sections *sections = &kernel->sections;
	PyObject *list = PyList_New(0);
	uint64_t run = 0, run_end = 0;
	enum pa_pfn_state run_state = PA_PFN_ABSENT;

#define FLUSH()                                                             \
	do {                                                                \
		if (run_state != PA_PFN_ABSENT && list &&                   \
		    !pa_py_append(                                          \
			    list,                                           \
			    Py_BuildValue("{s:K,s:K,s:s}", "pfn", ULL(run), \
					  "pfn_end", ULL(run_end), "state", \
					  pa_pfn_state_names[run_state])))  \
			Py_CLEAR(list);                                     \
	} while (0)

	for (size_t i = 0; list && i < sections->list.length; i++) {
		uint64_t pfn = sections->list.items[i].nr
			       << sections->pages_shift;
		uint64_t end = pfn + sections->pages;

		while (list && pfn < end) {
			uint64_t next;
			enum pa_pfn_state state =
				pa_pfn_state_run(kernel, pfn, end, &next);

			if (state == run_state && pfn == run_end) {
				run_end = next;
			} else {
				FLUSH();
				run = pfn;
				run_end = next;
				run_state = state;
			}
			pfn = next;
		}
	}
	FLUSH();
#undef FLUSH
	return list;
}

PyObject *pa_py_memory(const struct pa_kernel *kernel)
{
	const struct pa_sections *sections = &kernel->sections;
	PyObject *dict = PyDict_New();
	uint64_t present = 0, online = 0, pages = 0;

	for (size_t i = 0; i < sections->list.length; i++) {
		present += sections->list.items[i].present;
		online += sections->list.items[i].online;
	}
	for (size_t i = 0; i < kernel->zones.list.length; i++)
		pages += kernel->zones.list.items[i].present;
	if (dict &&
	    !(pa_py_set(dict, "sections",
			PyLong_FromUnsignedLongLong(present)) &&
	      pa_py_set(dict, "sections_online",
			PyLong_FromUnsignedLongLong(online)) &&
	      pa_py_set(dict, "section_pages",
			PyLong_FromUnsignedLongLong(sections->pages)) &&
	      pa_py_set(dict, "pages", PyLong_FromUnsignedLongLong(pages)) &&
	      pa_py_set(dict, "zones", zone_list(kernel)) &&
	      pa_py_set(dict, "pgmaps", pgmap_list(kernel)) &&
	      pa_py_set(dict, "blocks", block_list(kernel)) &&
	      pa_py_set(dict, "map", state_map(kernel)) &&
	      pa_py_set(dict, "unread", unread_list(kernel))))
		Py_CLEAR(dict);
	return dict;
}
