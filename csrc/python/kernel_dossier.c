// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.dossier(): who holds and who maps some pages, and their recount. */
#include "python/kernel_type.h"

#include <stdlib.h>

#include "census/counts.h"
#include "census/owner.h"
#include "census/slabs.h"
#include "checks/poison_record.h"
#include "kernel/wait.h"
#include "python/watch.h"

#define ULL(x) ((unsigned long long)(x))

/* A page that was asked about. */
struct asked {
	uint64_t pfn, head_pfn, nr;
	/* Of the census; NULL: no section has it. Borrowed. */
	const uint8_t *class;
	struct pa_discrepancy counts;
	/* The kmem_cache that it is a slab of; borrowed, NULL: of none. */
	const struct pa_slab_cache *cache;
	/* Of its folio's pages. */
	struct pa_poison_records poison;
};

struct dossier_call {
	const struct pa_kernel *kernel;
	struct pa_job *job;
	PA_ARRAY(struct asked) asked;
	struct pa_census *census;
	struct pa_memory *memory;
	struct pa_watch watch;
	struct pa_references found;
	struct pa_owners owners;
	struct pa_waiters waiters;
	/* Why those are not known; owned, NULL if they are. */
	struct pa_error *no_waiters;
};

/* The folio that a page is of; itself where it is of none that makes sense. */
static struct pa_error *find_folio(const struct pa_kernel *kernel,
				   struct pa_memmap *memmap,
				   struct asked *asked)
{
	const struct pa_page_format *f = &kernel->page_format;
	uint64_t pfn = asked->pfn, head_pfn = pfn;
	const uint8_t *page;

	asked->head_pfn = pfn;
	asked->nr = 1;
	if (pa_pfn_state(kernel, pfn) == PA_PFN_ABSENT)
		return NULL;

	struct pa_error *err = pa_memmap_page(memmap, pfn, 1, &page);

	if (!err && pa_page_is_tail(f, page) &&
	    !pa_page_to_pfn(kernel,
			    pa_page_head(f, page, pa_pfn_to_page(kernel, pfn)),
			    &head_pfn))
		return NULL;
	if (!err)
		err = pa_memmap_page(memmap, head_pfn, 2, &page);
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		return NULL;
	}
	if (err)
		return err;

	uint32_t order = pa_folio_order(f, page);

	if (order <= f->max_order && pfn >= head_pfn &&
	    pfn - head_pfn < PA_BIT(order)) {
		asked->head_pfn = head_pfn;
		asked->nr = PA_BIT(order);
	}
	return NULL;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pa_pfn_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorted and disjoint, as struct pa_watch has them. */
static bool make_watch(struct dossier_call *call)
{
	size_t nr = 0;

	pa_array_for_each(asked, &call->asked) {
		struct pa_pfn_range range = { asked->head_pfn,
					      asked->head_pfn + asked->nr };

		if (!pa_array_append(&call->watch.ranges, range))
			return false;
	}
	if (!call->watch.ranges.length)
		return true;

	struct pa_pfn_range *items = call->watch.ranges.items;

	qsort(items, call->watch.ranges.length, sizeof(*items), compare_ranges);
	for (size_t i = 1; i < call->watch.ranges.length; i++)
		if (items[i].start <= items[nr].end)
			items[nr].end = pa_max(items[nr].end, items[i].end);
		else
			items[++nr] = items[i];
	call->watch.ranges.length = nr + 1;
	return true;
}

static struct pa_error *find_folios(struct dossier_call *call)
{
	struct pa_memmap *memmap;
	struct pa_error *err = pa_memmap_create(call->kernel, &memmap);

	if (err)
		return err;
	pa_array_for_each(asked, &call->asked) {
		asked->class = pa_census_class(call->census, asked->pfn);
		err = find_folio(call->kernel, memmap, asked);
		if (!err)
			err = pa_count_folio(call->census, asked->head_pfn,
					     asked->nr, &asked->counts);
		if (!err)
			err = pa_poison_records_init(
				call->census, memmap, asked->head_pfn,
				asked->head_pfn + asked->nr, &asked->poison);
		if (err)
			break;
	}
	pa_memmap_destroy(memmap);
	return err;
}

/* Which slabs the pages are of. */
static struct pa_error *find_slabs(struct dossier_call *call)
{
	const struct pa_address_space *space = &call->kernel->space;

	if (!call->census->slabs)
		return NULL;
	pa_array_for_each(asked, &call->asked) {
		struct pa_slab_place place = { 0 };
		struct pa_error *err = pa_slabs_place(
			call->census, call->memory,
			space->direct_start + (asked->pfn << space->page_shift),
			&place);

		if (err && !pa_error_is_target(err))
			return err;
		pa_error_destroy(err);
		if (!err)
			asked->cache = place.cache;
	}
	return NULL;
}

/* Who waits for a page; a kernel may lack what tells. */
static struct pa_error *find_waiters(struct dossier_call *call)
{
	struct pa_error *err =
		pa_waiters_init(call->kernel, call->memory, &call->waiters);

	if (pa_error_is_target(err) || (err && err->code == PA_ERROR_MISSING)) {
		call->no_waiters = err;
		return NULL;
	}
	return err;
}

static struct pa_error *dossier_run(void *arg)
{
	struct dossier_call *call = arg;
	struct pa_error *err = pa_census_create(call->kernel, true, NULL,
						call->job, &call->census);

	if (!err)
		err = find_folios(call);
	if (!err && !make_watch(call))
		err = &pa_error_no_memory;
	if (!err)
		err = pa_holders_find(call->census, call->job, &call->watch,
				      &call->found);
	if (!err)
		err = pa_owners_find(call->census, &call->found, &call->owners);
	if (!err)
		err = pa_kernel_memory(call->kernel, &call->memory);
	if (!err)
		err = find_slabs(call);
	return err ? err : find_waiters(call);
}

static void call_deinit(struct dossier_call *call)
{
	pa_error_destroy(call->no_waiters);
	pa_waiters_deinit(&call->waiters);
	pa_memory_destroy(call->memory);
	pa_owners_deinit(&call->owners);
	pa_references_deinit(&call->found);
	pa_array_deinit(&call->watch.ranges);
	pa_census_destroy(call->census);
	pa_array_for_each(asked, &call->asked)
		pa_poison_records_deinit(&asked->poison);
	pa_array_deinit(&call->asked);
}

/* Names come from the target: bytes of any encoding. */
static PyObject *name(const char *bytes)
{
	return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strlen(bytes),
				    "backslashreplace");
}

static PyObject *counts_list(const struct pa_discrepancy *d)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < PA_NR_COUNTS; i++) {
		const struct pa_stored_counted *count = &d->counts[i];

		if (d->compared >> i & 1 &&
		    !pa_py_append(list,
				  Py_BuildValue("{s:s,s:L,s:L}", "counter",
						pa_count_names[i], "stored",
						(long long)count->stored,
						"counted",
						(long long)count->counted)))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *asked_dict(const struct asked *asked)
{
	const struct pa_discrepancy *d = &asked->counts;
	PyObject *dict = PyDict_New();
	bool ok =
		dict && pa_py_set(dict, "pfn", pa_py_pfn(asked->pfn)) &&
		pa_py_set(dict, "class",
			  asked->class ? pa_py_class(*asked->class) :
					 Py_NewRef(Py_None)) &&
		pa_py_set(dict, "on_list",
			  PyBool_FromLong(asked->class &&
					  *asked->class & PA_MARK_LISTED)) &&
		pa_py_set(dict, "head_pfn", pa_py_pfn(asked->head_pfn)) &&
		pa_py_set(dict, "nr_pages",
			  PyLong_FromUnsignedLongLong(asked->nr)) &&
		pa_py_set(dict, "kind",
			  PyUnicode_FromString(pa_folio_kind_names[d->kind])) &&
		pa_py_set(dict, "slab",
			  asked->cache ? name(asked->cache->name) :
					 Py_NewRef(Py_None)) &&
		pa_py_set(dict, "poisoned", pa_py_poison(&asked->poison)) &&
		pa_py_set(dict, "counts", counts_list(d)) &&
		pa_py_set(dict, "mapcounts_wrong",
			  PyLong_FromUnsignedLong(d->nr_mapcounts)) &&
		pa_py_set(dict, "mapcount_pfn", pa_py_pfn(d->mapcount_pfn)) &&
		pa_py_set(dict, "made_of",
			  Py_BuildValue("{s:K,s:K,s:K,s:K,s:K}", "maps",
					ULL(d->maps), "entire_maps",
					ULL(d->entire), "references",
					ULL(d->refs), "pins", ULL(d->pins),
					"own_references", ULL(d->own)));

	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *file_dict(const struct pa_inode_name *file)
{
	PyObject *dict = PyDict_New();

	if (dict &&
	    !(pa_py_set(dict, "ino", PyLong_FromUnsignedLongLong(file->ino)) &&
	      pa_py_set(dict, "file_system", name(file->type)) &&
	      pa_py_set(dict, "device", name(file->id)) &&
	      pa_py_set(dict, "path", name(file->path))))
		Py_CLEAR(dict);
	return dict;
}

static PyObject *vma_list(const struct pa_owner *owner)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < owner->vmas.length; i++) {
		const struct pa_owner_vma *one = &owner->vmas.items[i];
		PyObject *file = one->vma.file ? file_dict(&one->file) :
						 Py_NewRef(Py_None);

		if (!file ||
		    !pa_py_append(list,
				  Py_BuildValue("{s:K,s:K,s:K,s:N}", "start",
						ULL(one->vma.start), "end",
						ULL(one->vma.end), "flags",
						ULL(one->vma.flags), "file",
						file)))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *owner_dict(const struct pa_owner *owner)
{
	PyObject *dict = PyDict_New();
	bool ok = dict;

	switch (owner->kind) {
	case PA_OWNER_MM:
		ok = ok && pa_py_set(dict, "task", pa_py_hex(owner->task)) &&
		     pa_py_set(dict, "pid",
			       PyLong_FromUnsignedLong(owner->pid)) &&
		     pa_py_set(dict, "comm", name(owner->comm)) &&
		     pa_py_set(dict, "vmas", vma_list(owner));
		break;
	case PA_OWNER_INODE:
		ok = ok && pa_py_set(dict, "inode", pa_py_hex(owner->inode)) &&
		     pa_py_set(dict, "file", file_dict(&owner->name));
		break;
	case PA_OWNER_OTHER:
		break;
	}
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *owners_dict(const struct pa_owners *owners)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < owners->list.length; i++) {
		const struct pa_owner *owner = &owners->list.items[i];
		PyObject *key = PyLong_FromUnsignedLongLong(owner->address);
		PyObject *value = owner_dict(owner);

		if (!key || !value || PyDict_SetItem(dict, key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *holders_list(const struct pa_census *census)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < PA_NR_HOLDERS; i++) {
		const struct pa_holder_row *row = &pa_holders[i];
		const struct pa_holder_result *result = &census->holders[i];

		if (row->item &&
		    !pa_py_append(
			    list,
			    Py_BuildValue("{s:s,s:z,s:z,s:K,s:K,s:z}", "holder",
					  row->name, "owner", row->owner,
					  "index", row->index, "references",
					  ULL(result->references), "unreadable",
					  ULL(result->unreadable), "error",
					  result->err ? result->err->message :
							NULL)))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *references_list(const struct pa_references *found)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < found->list.length; i++) {
		const struct pa_reference *ref = &found->list.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "(ssIKKKK)", pa_holders[ref->holder].name,
				    pa_reference_kind_names[ref->kind],
				    ref->count, ULL(ref->pfn), ULL(ref->slot),
				    ULL(ref->owner), ULL(ref->index))))
			Py_CLEAR(list);
	}
	return list;
}

/* Tasks whose live stack names one of the pages' struct pages, each once. */
static PyObject *handled_list(const struct dossier_call *call)
{
	const struct pa_census *census = call->census;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < census->handled.length; i++) {
		const struct pa_handled *handled = &census->handled.items[i];
		char comm[16] = "";
		uint32_t pid = 0;

		if (!pa_watch_has(&call->watch, handled->pfn, 1) ||
		    (i && handled[-1].pfn == handled->pfn &&
		     handled[-1].task == handled->task))
			continue;
		pa_task_name(call->kernel, call->memory, handled->task, &pid,
			     comm);
		if (!pa_py_append(list,
				  Py_BuildValue("{s:K,s:N,s:I,s:N}", "pfn",
						ULL(handled->pfn), "task",
						pa_py_hex(handled->task), "pid",
						pid, "comm", name(comm))))
			Py_CLEAR(list);
	}
	return list;
}

/* Waiters for pages that were asked about; for others nobody asked. */
static PyObject *waiters_list(const struct dossier_call *call)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < call->waiters.list.length; i++) {
		const struct pa_waiter *waiter = &call->waiters.list.items[i];
		char comm[16] = "";
		uint32_t pid = 0;

		if (waiter->pfn == PA_NO_PFN ||
		    !pa_watch_has(&call->watch, waiter->pfn, 1))
			continue;
		if (waiter->task)
			pa_task_name(call->kernel, call->memory, waiter->task,
				     &pid, comm);
		if (!pa_py_append(
			    list,
			    Py_BuildValue("{s:K,s:s,s:N,s:I,s:N,s:N}", "pfn",
					  ULL(waiter->pfn), "waits_for",
					  pa_wait_kind_names[waiter->kind],
					  "task", pa_py_hex(waiter->task),
					  "pid", pid, "comm", name(comm),
					  "entry", pa_py_hex(waiter->entry))))
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *call_dict(const struct dossier_call *call)
{
	PyObject *dict = PyDict_New();
	PyObject *pages = PyList_New(0);
	bool ok = dict && pages;

	pa_array_for_each(asked, &call->asked)
		ok = ok && pa_py_append(pages, asked_dict(asked));
	ok = ok && pa_py_set(dict, "pages", Py_NewRef(pages)) &&
	     pa_py_set(dict, "references", references_list(&call->found)) &&
	     pa_py_set(dict, "owners", owners_dict(&call->owners)) &&
	     pa_py_set(dict, "holders", holders_list(call->census)) &&
	     pa_py_set(dict, "in_hand", handled_list(call)) &&
	     pa_py_set(dict, "waiters", waiters_list(call)) &&
	     pa_py_set(dict, "waiters_unknown",
		       call->no_waiters ?
			       PyUnicode_FromString(call->no_waiters->message) :
			       Py_NewRef(Py_None));
	Py_XDECREF(pages);
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

/* False with an exception. */
static bool take_pfns(const struct pa_kernel *kernel, PyObject *pfns,
		      struct dossier_call *call)
{
	unsigned int pfn_bits =
		kernel->space.max_physmem_bits - kernel->space.page_shift;
	PyObject *list =
		PySequence_Fast(pfns, "pfns must be a sequence of numbers");
	bool ok = list;

	for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(list); i++) {
		struct asked asked = {
			.pfn = PyLong_AsUnsignedLongLong(
				PySequence_Fast_GET_ITEM(list, i)),
		};

		ok = !PyErr_Occurred();
		if (ok && asked.pfn >> pfn_bits) {
			PyErr_SetString(PyExc_ValueError,
					"the pfn is beyond physical memory");
			ok = false;
		}
		if (ok && !pa_array_append(&call->asked, asked)) {
			PyErr_NoMemory();
			ok = false;
		}
	}
	Py_XDECREF(list);
	return ok;
}

PyObject *pa_py_dossier(struct pa_module_state *state,
			const struct pa_kernel *kernel, unsigned int threads,
			PyObject *pfns, PyObject *progress)
{
	struct pa_job job;
	struct dossier_call call = { .kernel = kernel, .job = &job };
	PyObject *dict = NULL;

	pa_job_init(&job, threads);
	if (take_pfns(kernel, pfns, &call) &&
	    !pa_watch_run(state, dossier_run, &call, &job, progress))
		dict = call_dict(&call);
	call_deinit(&call);
	return dict;
}
