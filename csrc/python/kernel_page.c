// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.page(): what is known of one page. */
#include "python/kernel_type.h"

#include "base/cleanup.h"
#include "kernel/cma.h"
#include "kernel/memmap.h"
#include "kernel/page_owner.h"
#include "kernel/resource.h"
#include "kernel/stackdepot.h"

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
			       Py_BuildValue("{s:N,s:s,s:s,s:s,s:K,s:K,s:K}",
					     "address", pa_py_hex(map->address),
					     "type",
					     pa_pgmap_type_names[map->type],
					     "device", map->device, "disk",
					     map->disk, "pfn", ULL(range->pfn),
					     "pfn_end", ULL(range->pfn_end),
					     "data_pfn", ULL(range->data_pfn)));
	}
	return ok;
}

/* Struct pages of a folio that its counters are in: those of all layouts. */
#define HEAD_PAGES 4

/* Words of @nr struct pages. */
static PyObject *raw_words(const struct pa_page_format *f, const uint8_t *pages,
			   uint32_t nr)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < nr * f->size; i += 8)
		if (!pa_py_append(list, pa_py_hex(pa_load_u64(pages + i))))
			Py_CLEAR(list);
	return list;
}

/* The folio's first struct pages, where its counters are. */
static bool set_head(PyObject *folio, const struct pa_kernel *kernel,
		     struct pa_memmap *memmap, uint64_t pfn, uint32_t order)
{
	uint32_t nr = order > 1 ? HEAD_PAGES : 1 + order;
	const uint8_t *pages;
	struct pa_error *err = pa_memmap_page(memmap, pfn, nr, &pages);

	if (err) {
		pa_error_destroy(err);
		return pa_py_set(folio, "raw", Py_NewRef(Py_None));
	}
	return pa_py_set(folio, "raw",
			 raw_words(&kernel->page_format, pages, nr));
}

/* A counter of the folio: where it is stored, and what is there. */
static bool add_counter(PyObject *dict, const char *key, const uint8_t *head,
			uint32_t offset)
{
	/* No such counter, or one that such a folio has no room for. */
	if (!offset)
		return true;

	uint32_t word = pa_load_u32(head + offset);

	return pa_py_set(dict, key,
			 Py_BuildValue("{s:I,s:N,s:i}", "offset", offset, "raw",
				       pa_py_hex(word), "value",
				       (int32_t)word));
}

/* What the folio's first struct pages store of its mappings and pins. */
static bool set_counters(PyObject *folio, const struct pa_kernel *kernel,
			 struct pa_memmap *memmap, uint64_t pfn, uint32_t order)
{
	const struct pa_mapcount_format *m = &kernel->mapcount_format;
	PyObject *dict = PyDict_New();
	const uint8_t *head;
	bool ok = dict;

	if (ok && order) {
		struct pa_error *err = pa_memmap_page(
			memmap, pfn, order > 1 ? HEAD_PAGES : 2, &head);

		if (err)
			pa_error_destroy(err);
		else
			ok = add_counter(dict, "entire_mapcount", head,
					 m->entire) &&
			     add_counter(dict, "large_mapcount", head,
					 m->large) &&
			     add_counter(dict, "nr_pages_mapped", head,
					 m->nr_pages_mapped) &&
			     add_counter(dict, "pincount", head,
					 pa_has_pincount(m, order) ?
						 m->pincount :
						 0);
	}
	return pa_py_set(folio, "counters", dict) && ok;
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
	uint32_t order = pa_folio_order(f, head);
	uint64_t flags = pa_page_flags(f, head);
	pa_auto_free char *names = pa_page_flags_string(f, flags);
	PyObject *folio =
		names ? Py_BuildValue(
				"{s:K,s:N,s:I,s:N,s:s,s:i,s:O}", "head_pfn",
				ULL(head_pfn), "head",
				pa_py_hex(pa_pfn_to_page(kernel, head_pfn)),
				"order", order, "flags", pa_py_hex(flags),
				"flag_names", names, "refcount",
				(int32_t)pa_page_refcount(f, head), "hugetlb",
				pa_folio_is_hugetlb(f, head) ? Py_True :
							       Py_False) :
			PyErr_NoMemory();

	if (folio && !(set_counters(folio, kernel, memmap, head_pfn, order) &&
		       set_head(folio, kernel, memmap, head_pfn, order)))
		Py_CLEAR(folio);
	return pa_py_set(dict, "folio", folio);
}

static PyObject *stack_list(const struct pa_kernel *kernel,
			    struct pa_memory *memory, uint32_t handle)
{
	struct pa_stack_trace trace;
	PyObject *list;

	if (!handle)
		return Py_NewRef(Py_None);

	struct pa_error *err =
		pa_stackdepot_fetch(kernel, memory, handle, &trace);

	if (err) {
		pa_error_destroy(err);
		return Py_NewRef(Py_None);
	}
	list = PyList_New(0);
	for (uint32_t i = 0; list && i < trace.nr; i++)
		if (!pa_py_append(list, pa_py_hex(trace.entries[i])))
			Py_CLEAR(list);
	return list;
}

/* One end of the page's life; what this kernel does not record is None. */
static PyObject *event_dict(const struct pa_kernel *kernel,
			    struct pa_memory *memory,
			    const struct pa_page_event *event, bool has_task,
			    bool has_time)
{
	PyObject *dict = PyDict_New();
	bool ok = dict &&
		  pa_py_set(dict, "time",
			    has_time ? PyFloat_FromDouble(
					       (double)event->time_ns / 1e9) :
				       Py_NewRef(Py_None)) &&
		  pa_py_set(dict, "pid",
			    has_task ? PyLong_FromUnsignedLong(event->pid) :
				       Py_NewRef(Py_None)) &&
		  pa_py_set(dict, "tgid",
			    has_task ? PyLong_FromUnsignedLong(event->tgid) :
				       Py_NewRef(Py_None)) &&
		  pa_py_set(dict, "stack",
			    stack_list(kernel, memory, event->handle));

	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *owner_dict(const struct pa_kernel *kernel,
			    struct pa_memory *memory,
			    const struct pa_page_owner *owner)
{
	const char *reason =
		pa_migrate_reason(kernel->layout, owner->migrate_reason);
	PyObject *dict = PyDict_New();
	bool ok =
		dict &&
		pa_py_set(dict, "allocated",
			  PyBool_FromLong(owner->allocated)) &&
		pa_py_set(dict, "order",
			  PyLong_FromUnsignedLong(owner->order)) &&
		pa_py_set(dict, "gfp_mask", pa_py_hex(owner->gfp_mask)) &&
		pa_py_set(dict, "migrate_reason",
			  reason ? PyUnicode_FromString(reason) :
				   Py_NewRef(Py_None)) &&
		pa_py_set(dict, "comm",
			  PyUnicode_DecodeUTF8(owner->comm,
					       (Py_ssize_t)strlen(owner->comm),
					       "backslashreplace")) &&
		pa_py_set(dict, "alloc",
			  event_dict(kernel, memory, &owner->alloc,
				     owner->has_alloc_task,
				     owner->has_times)) &&
		pa_py_set(dict, "free",
			  event_dict(kernel, memory, &owner->free,
				     owner->has_free_task, owner->has_times));

	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

/* Who allocated the page and who freed it: None where nobody recorded it. */
static bool set_owner(PyObject *dict, const struct pa_kernel *kernel,
		      struct pa_memory *memory, uint64_t pfn)
{
	struct pa_page_owner owner = { 0 };
	struct pa_error *err = pa_page_owner_read(kernel, memory, pfn, &owner);
	PyObject *value, *why = NULL;

	if (err)
		why = PyUnicode_FromString(err->message);
	else if (!owner.known)
		why = PyUnicode_FromString("it was never allocated");
	else
		why = Py_NewRef(Py_None);
	value = !err && owner.known ? owner_dict(kernel, memory, &owner) :
				      Py_NewRef(Py_None);
	pa_error_destroy(err);
	bool ok = pa_py_set(dict, "owner", value);

	return pa_py_set(dict, "owner_unknown", why) && ok;
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
	bool ok = names;

	ok = ok && pa_py_set(dict, "raw", raw_words(f, page, 1)) &&
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
	return ok;
}

/* Text, or None where there is nothing or it can't be read. */
static PyObject *text_or_none(struct pa_error *err, const char *text)
{
	bool is_known = !err && *text;

	if (err && err->code == PA_ERROR_NO_MEMORY)
		return PyErr_NoMemory();
	pa_error_destroy(err);
	return is_known ? PyUnicode_FromString(text) : Py_NewRef(Py_None);
}

/* Whose memory it is: the resource tree's, and an area's of CMA. */
static bool set_claims(PyObject *dict, const struct pa_kernel *kernel,
		       uint64_t pfn)
{
	struct pa_memory *memory = NULL;
	char resource[PA_RESOURCE_PATH_MAX] = "", cma[PA_CMA_NAME_MAX] = "";
	struct pa_error *err = pa_kernel_memory(kernel, &memory);
	bool ok;

	if (!err)
		err = pa_resource_path(memory, kernel->layout,
				       pfn << kernel->space.page_shift,
				       resource);
	ok = pa_py_set(dict, "resource", text_or_none(err, resource));
	err = ok && memory ? pa_cma_name(memory, kernel->layout, pfn, cma) :
			     NULL;
	ok = ok && pa_py_set(dict, "cma", text_or_none(err, cma));
	pa_memory_destroy(memory);
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
	if (!set_location(dict, kernel, pfn) ||
	    !set_claims(dict, kernel, pfn)) {
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
	    !set_folio(dict, kernel, memmap, pfn, copy) ||
	    !set_owner(dict, kernel, memmap->memory, pfn))
		Py_CLEAR(dict);
	pa_memmap_destroy(memmap);
	return dict;
}
