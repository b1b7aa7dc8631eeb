// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.page(): what is known of one page. */
#include "python/kernel_type.h"

#include "kernel/memmap.h"

#define ULL(x) ((unsigned long long)(x))

/* Where the pfn lies: state, section, memory block, pgmap. */
static bool set_location(PyObject *dict, const struct pa_kernel *kernel,
			 uint64_t pfn)
{
	const struct pa_section *section =
		pa_pfn_to_section(&kernel->sections, pfn);
	const struct pa_pgmap_range *range =
		pa_pgmap_range_at(&kernel->pgmaps, pfn);
	const struct pa_block *block =
		section && !kernel->parts[PA_PART_BLOCKS] ?
			pa_block_find(&kernel->blocks, section->nr) :
			NULL;
	bool ok =
		pa_py_set(dict, "pfn", PyLong_FromUnsignedLongLong(pfn)) &&
		pa_py_set(dict, "phys",
			  pa_py_hex(pfn << kernel->space.page_shift)) &&
		pa_py_set(dict, "page",
			  pa_py_hex(pa_pfn_to_page(kernel, pfn))) &&
		pa_py_set(dict, "state",
			  PyUnicode_FromString(pa_pfn_state_names[pa_pfn_state(
				  kernel, pfn)])) &&
		pa_py_set(
			dict, "pfn_valid",
			PyBool_FromLong(pa_pfn_valid(&kernel->sections, pfn)));

	if (ok && section)
		ok = pa_py_set(
			dict, "section",
			Py_BuildValue(
				"{s:K,s:N,s:O,s:O,s:O,s:O,s:O,s:O}", "nr",
				ULL(section->nr), "section_mem_map",
				pa_py_hex(section->word), "present",
				section->present ? Py_True : Py_False,
				"has_mem_map",
				section->has_mem_map ? Py_True : Py_False,
				"online", section->online ? Py_True : Py_False,
				"early", section->early ? Py_True : Py_False,
				"taint_zone_device",
				section->taint_zone_device ? Py_True : Py_False,
				"subsection_valid",
				pa_pfn_section_valid(&kernel->sections, section,
						     pfn) ?
					Py_True :
					Py_False));
	if (ok && block)
		ok = pa_py_set(
			dict, "memory_block",
			Py_BuildValue("{s:K,s:s}", "id", ULL(block->id),
				      "state",
				      pa_block_state_names[block->state]));
	if (ok && range && pfn >= range->pfn) {
		const struct pa_pgmap *map =
			&kernel->pgmaps.maps.items[range->map];

		ok = pa_py_set(dict, "pgmap",
			       Py_BuildValue("{s:N,s:s,s:K,s:K,s:K}", "address",
					     pa_py_hex(map->address), "type",
					     pa_pgmap_type_names[map->type],
					     "pfn", ULL(range->pfn), "pfn_end",
					     ULL(range->pfn_end), "data_pfn",
					     ULL(range->data_pfn)));
	}
	return ok;
}

/* The folio that the page belongs to, from its head's first two pages. */
static bool set_folio(PyObject *dict, const struct pa_kernel *kernel,
		      struct pa_memmap *memmap, uint64_t pfn,
		      const uint8_t *page)
{
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t head_pfn = pfn;
	const uint8_t *head;

	if (pa_page_is_tail(f, page) &&
	    !pa_page_to_pfn(kernel,
			    pa_page_head(f, page, pa_pfn_to_page(kernel, pfn)),
			    &head_pfn))
		return pa_py_set(dict, "folio", Py_NewRef(Py_None));

	struct pa_error *err = pa_memmap_page(memmap, head_pfn, 2, &head);

	if (err) {
		pa_error_destroy(err);
		return pa_py_set(dict, "folio", Py_NewRef(Py_None));
	}
	return pa_py_set(
		dict, "folio",
		Py_BuildValue(
			"{s:K,s:N,s:I,s:I,s:O}", "head_pfn", ULL(head_pfn),
			"head", pa_py_hex(pa_pfn_to_page(kernel, head_pfn)),
			"order", pa_folio_order(f, head), "refcount",
			pa_page_refcount(f, head), "hugetlb",
			pa_folio_is_hugetlb(f, head) ? Py_True : Py_False));
}

/* The struct page's own fields. */
static bool set_fields(PyObject *dict, const struct pa_kernel *kernel,
		       const uint8_t *page)
{
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t flags = pa_page_flags(f, page);
	uint32_t word = pa_page_type_word(f, page);
	enum pa_page_type type = flags & f->flag.slab ? PA_PAGE_SLAB :
							pa_page_type(f, word);
	const struct pa_zone *zone = pa_flags_zone(kernel, flags);
	char *names = pa_page_flags_string(f, flags);
	PyObject *raw = PyList_New(0);
	bool ok = names && raw;

	for (uint32_t i = 0; ok && i < f->size; i += 8)
		ok = pa_py_append(raw, pa_py_hex(pa_load_u64(page + i)));
	ok = ok && pa_py_set(dict, "raw", Py_NewRef(raw)) &&
	     pa_py_set(dict, "flags", pa_py_hex(flags)) &&
	     pa_py_set(dict, "flag_names", PyUnicode_FromString(names)) &&
	     pa_py_set(dict, "node",
		       PyLong_FromUnsignedLong(pa_page_node(f, flags))) &&
	     pa_py_set(dict, "zone",
		       zone ? PyUnicode_FromString(zone->name) :
			      Py_NewRef(Py_None)) &&
	     pa_py_set(dict, "refcount",
		       PyLong_FromLong((int32_t)pa_page_refcount(f, page))) &&
	     pa_py_set(dict, "type",
		       PyUnicode_FromString(pa_page_type_names[type])) &&
	     pa_py_set(dict, "mapcount",
		       type == PA_PAGE_UNTYPED ?
			       PyLong_FromLong((int32_t)word + 1L) :
			       Py_NewRef(Py_None)) &&
	     pa_py_set(dict, "mapping",
		       pa_py_hex(pa_load_u64(page + f->mapping))) &&
	     pa_py_set(dict, "index",
		       pa_py_hex(pa_load_u64(page + f->index))) &&
	     pa_py_set(dict, "private", pa_py_hex(pa_page_private(f, page))) &&
	     pa_py_set(dict, "tail", PyBool_FromLong(pa_page_is_tail(f, page)));
	free(names);
	Py_XDECREF(raw);
	return ok;
}

PyObject *pa_py_page(struct pa_module_state *state,
		     const struct pa_kernel *kernel, uint64_t pfn)
{
	PyObject *dict = PyDict_New();
	struct pa_memmap *memmap = NULL;
	const uint8_t *page;
	uint8_t copy[256];

	if (!dict)
		return NULL;
	if (pfn >>
	    (kernel->space.max_physmem_bits - kernel->space.page_shift)) {
		Py_DECREF(dict);
		PyErr_SetString(PyExc_ValueError,
				"the pfn is beyond physical memory");
		return NULL;
	}
	if (!set_location(dict, kernel, pfn)) {
		Py_DECREF(dict);
		return NULL;
	}
	/* Without a memory map there is nothing more to know. */
	if (pa_pfn_state(kernel, pfn) == PA_PFN_ABSENT)
		return dict;

	struct pa_error *err = pa_memmap_create(kernel, &memmap);

	if (!err)
		err = pa_memmap_page(memmap, pfn, 1, &page);
	if (pa_error_is_target(err)) {
		bool ok = pa_py_set(dict, "unread",
				    PyUnicode_DecodeFSDefault(err->message));

		pa_error_destroy(err);
		pa_memmap_destroy(memmap);
		if (!ok)
			Py_CLEAR(dict);
		return dict;
	}
	if (err) {
		pa_memmap_destroy(memmap);
		Py_DECREF(dict);
		return pa_raise(state, err);
	}
	memcpy(copy, page, kernel->page_format.size);
	if (!set_fields(dict, kernel, copy) ||
	    !set_folio(dict, kernel, memmap, pfn, copy))
		Py_CLEAR(dict);
	pa_memmap_destroy(memmap);
	return dict;
}
