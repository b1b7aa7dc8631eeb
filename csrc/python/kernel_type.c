// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/kernel_type.h"

#include <sched.h>
#include <unistd.h>

#include "census/counts.h"
#include "census/holder.h"
#include "census/picture.h"
#include "checks/audit.h"
#include "python/layout_type.h"
#include "python/log.h"
#include "python/source_type.h"
#include "python/watch.h"

#define MAX_THREADS 1024

static int kernel_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(object->source);
	Py_VISIT(object->layout);
	return 0;
}

/*
 * The C kernel borrows from source and layout, so they stay until it is gone:
 * nothing is cleared before dealloc. Neither can refer back to a Kernel but
 * through a callback's closure, whose Source breaks that cycle itself.
 */
static void kernel_dealloc(PyObject *self)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	pa_kernel_destroy(object->kernel);
	Py_XDECREF(object->source);
	Py_XDECREF(object->layout);
	type->tp_free(self);
	Py_DECREF(type);
}

/* Those that this process may run on: a container may have fewer than all. */
static unsigned int usable_processors(void)
{
	cpu_set_t set;
	long nr = sched_getaffinity(0, sizeof(set), &set) ?
			  sysconf(_SC_NPROCESSORS_ONLN) :
			  CPU_COUNT(&set);

	return nr > 0 && nr <= MAX_THREADS ? (unsigned int)nr : 1;
}

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *keywords[] = { "source", "layout", "threads", NULL };
	struct pa_module_state *state = PyType_GetModuleState(type);
	PyObject *source, *layout;
	int threads = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "O!O!|$i:Kernel", keywords,
					 state->source_type, &source,
					 state->layout_type, &layout, &threads))
		return NULL;
	if (threads < 0 || threads > MAX_THREADS) {
		PyErr_Format(PyExc_ValueError,
			     "threads must be between 0 and %d", MAX_THREADS);
		return NULL;
	}

	struct pa_kernel_object *object =
		(struct pa_kernel_object *)type->tp_alloc(type, 0);

	if (!object)
		return NULL;
	object->source = Py_NewRef(source);
	object->layout = Py_NewRef(layout);
	object->threads = threads ? (unsigned int)threads : usable_processors();

	struct pa_error *err;

	Py_BEGIN_ALLOW_THREADS
	err = pa_kernel_create(((struct pa_source_object *)source)->source,
			       ((struct pa_layout_object *)layout)->layout,
			       &object->kernel);
	Py_END_ALLOW_THREADS
	if (err) {
		Py_DECREF(object);
		return pa_raise(state, err);
	}
	return (PyObject *)object;
}

static PyObject *evidence_value(const struct pa_evidence *item)
{
	switch (item->kind) {
	case PA_EVIDENCE_NUMBER:
		return PyLong_FromLongLong(item->number);
	case PA_EVIDENCE_HEX:
		return pa_py_hex((uint64_t)item->number);
	case PA_EVIDENCE_TEXT:
		break;
	}
	return PyUnicode_DecodeUTF8(item->text, (Py_ssize_t)strlen(item->text),
				    "replace");
}

static PyObject *pfn_or_none(uint64_t pfn)
{
	return pfn == PA_NO_PFN ? Py_NewRef(Py_None) :
				  PyLong_FromUnsignedLongLong(pfn);
}

static PyObject *finding_dict(const struct pa_kernel *kernel,
			      const struct pa_finding *finding)
{
	PyObject *dict = PyDict_New();
	PyObject *evidence = PyDict_New();
	bool ok = dict && evidence;

	for (size_t i = 0; ok && i < finding->evidence.length; i++) {
		const struct pa_evidence *item = &finding->evidence.items[i];

		ok = pa_py_set(evidence, item->key, evidence_value(item));
	}
	ok = ok &&
	     pa_py_set(dict, "check",
		       PyUnicode_FromString(pa_checks[finding->check].id)) &&
	     pa_py_set(dict, "severity",
		       PyUnicode_FromString(
			       pa_severity_names[finding->severity])) &&
	     pa_py_set(dict, "pfn", pfn_or_none(finding->pfn)) &&
	     pa_py_set(dict, "pfn_end", pfn_or_none(finding->pfn_end)) &&
	     pa_py_set(
		     dict, "page",
		     finding->pfn == PA_NO_PFN ?
			     Py_NewRef(Py_None) :
			     pa_py_hex(pa_pfn_to_page(kernel, finding->pfn))) &&
	     pa_py_set(
		     dict, "summary",
		     PyUnicode_DecodeUTF8(finding->summary,
					  (Py_ssize_t)strlen(finding->summary),
					  "replace")) &&
	     pa_py_set(dict, "evidence", Py_XNewRef(evidence));
	Py_XDECREF(evidence);
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *check_dict(const struct pa_check *check,
			    const struct pa_check_result *result)
{
	return Py_BuildValue("{s:s,s:s,s:z,s:K,s:d}", "id", check->id, "status",
			     pa_check_status_names[result->status], "reason",
			     result->reason, "examined",
			     (unsigned long long)result->examined, "seconds",
			     result->seconds);
}

static bool set_count(PyObject *dict, const char *name, uint64_t count)
{
	return pa_py_set(
		dict, name,
		PyLong_FromUnsignedLongLong((unsigned long long)count));
}

/* What the folios whose holders are all known say, and what was explained. */
static bool set_references(PyObject *dict, const struct pa_counts *counts)
{
	uint64_t found = 0, explained = 0;

	for (int i = 0; i < PA_NR_FOLIO_KINDS; i++) {
		found += counts->stored[i];
		explained += counts->explained[i];
	}
	return set_count(dict, "references_found", found) &&
	       set_count(dict, "references_explained", explained) &&
	       set_count(dict, "folios_of_unknown_owners", counts->unjudged);
}

static PyObject *coverage_dict(const struct pa_census *census)
{
	PyObject *dict = PyDict_New();
	bool ok =
		dict && set_count(dict, "pages_read", census->pages_read) &&
		set_count(dict, "pages_excluded", census->pages_excluded) &&
		set_count(dict, "pages_unreadable", census->pages_unreadable) &&
		set_count(dict, "list_entries", census->references) &&
		set_count(dict, "pages_in_transit", census->pages_taken) &&
		set_count(dict, "pages_poisoned", census->poisoned.length) &&
		set_count(dict, "kernel_pages_filtered",
			  census->kernel_pages_filtered);

	if (ok && census->counts)
		ok = set_references(dict, census->counts);
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *phase_dict(const char *name, uint64_t references,
			    uint64_t unreadable, double seconds)
{
	return Py_BuildValue("{s:s,s:K,s:K,s:d}", "name", name, "references",
			     (unsigned long long)references, "unreadable",
			     (unsigned long long)unreadable, "seconds",
			     seconds);
}

/* The census, part by part and holder by holder, in its order. */
static PyObject *census_list(const struct pa_census *census)
{
	PyObject *list = PyList_New(0);
	bool ok = list;

	for (int i = 0; ok && i < PA_NR_CENSUS_PARTS; i++) {
		const struct pa_census_part_result *part = &census->parts[i];

		if (i >= PA_CENSUS_SLABS && !census->holders)
			break;
		if (i != PA_CENSUS_HOLDERS) {
			ok = pa_py_append(list,
					  phase_dict(pa_census_part_names[i], 0,
						     part->unreadable,
						     part->seconds));
			continue;
		}
		for (int j = 0; ok && j < PA_NR_HOLDERS; j++) {
			const struct pa_holder_result *holder =
				&census->holders[j];

			if (pa_holders[j].item)
				ok = pa_py_append(list,
						  phase_dict(pa_holders[j].name,
							     holder->references,
							     holder->unreadable,
							     holder->seconds));
		}
	}
	if (!ok)
		Py_CLEAR(list);
	return list;
}

static PyObject *pfns_bytes(const struct pa_disturbed *disturbed)
{
	return PyBytes_FromStringAndSize(
		(const char *)disturbed->pfns.items,
		(Py_ssize_t)(disturbed->pfns.length * 8));
}

static PyObject *audit_dict(const struct pa_kernel *kernel,
			    const struct pa_audit *audit)
{
	PyObject *dict = PyDict_New();
	PyObject *checks = PyList_New(0);
	PyObject *findings = PyList_New(0);
	bool ok = dict && checks && findings;

	for (int i = 0; ok && i < PA_NR_CHECKS; i++)
		if (audit->selected[i])
			ok = pa_py_append(checks,
					  check_dict(&pa_checks[i],
						     &audit->results[i]));
	for (size_t i = 0; ok && i < audit->findings.list.length; i++)
		ok = pa_py_append(findings,
				  finding_dict(kernel,
					       &audit->findings.list.items[i]));
	ok = ok && pa_py_set(dict, "checks", Py_NewRef(checks)) &&
	     pa_py_set(dict, "findings", Py_NewRef(findings)) &&
	     pa_py_set(dict, "coverage", coverage_dict(audit->census)) &&
	     pa_py_set(dict, "census", census_list(audit->census)) &&
	     pa_py_set(dict, "walkers", pa_py_walkers(audit->census)) &&
	     pa_py_set(dict, "poisoned", pa_py_poison(&audit->poison)) &&
	     pa_py_set(dict, "disturbed",
		       pfns_bytes(&audit->census->disturbed));
	Py_XDECREF(checks);
	Py_XDECREF(findings);
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

/* Marks the named checks; false with an exception. */
static bool select_checks(PyObject *names, bool selected[PA_NR_CHECKS])
{
	PyObject *sequence =
		PySequence_Fast(names, "checks must be a sequence of names");

	if (!sequence)
		return false;

	Py_ssize_t length = PySequence_Fast_GET_SIZE(sequence);
	bool ok = true;

	for (Py_ssize_t i = 0; ok && i < length; i++) {
		const char *name =
			PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(sequence, i));
		int id = 0;

		while (name && id < PA_NR_CHECKS &&
		       strcmp(name, pa_checks[id].id) != 0)
			id++;
		if (name && id == PA_NR_CHECKS)
			PyErr_Format(PyExc_ValueError, "there is no check %s",
				     name);
		ok = name && id < PA_NR_CHECKS;
		if (ok)
			selected[id] = true;
	}
	Py_DECREF(sequence);
	return ok;
}

struct audit_call {
	const struct pa_kernel *kernel;
	const bool *selected;
	/* NULL: all pages. */
	const struct pa_disturbed *among;
	struct pa_job *job;
	/* Whether a picture is wanted. */
	bool picture;
	struct pa_audit *audit;
	struct pa_picture *drawn;
};

static struct pa_error *audit_call_run(void *arg)
{
	struct audit_call *call = arg;
	struct pa_error *err = pa_audit_run(call->kernel, call->selected,
					    call->among, call->job,
					    &call->audit);

	if (!err && call->picture)
		err = pa_picture_create(call->audit->census, call->job,
					&call->drawn);
	return err;
}

/* The u64 pfns in a buffer, of which @ret gets a copy. */
static bool copy_pfns(const Py_buffer *buffer, struct pa_disturbed *ret)
{
	const uint8_t *bytes = buffer->buf;

	if (buffer->len % 8) {
		PyErr_SetString(PyExc_ValueError, "pfns are 8 bytes each");
		return false;
	}
	for (Py_ssize_t i = 0; i < buffer->len; i += 8)
		if (!pa_disturbed_add(ret, pa_load_u64(bytes + i))) {
			PyErr_NoMemory();
			return false;
		}
	pa_disturbed_settle(ret);
	return true;
}

static PyObject *kernel_audit(PyObject *self, PyObject *args, PyObject *kwds)
{
	static char *keywords[] = { "checks",  "progress", "max_cpu",
				    "picture", "among",	   NULL };
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;
	PyObject *names = Py_None, *progress = Py_None, *ret = NULL;
	bool selected[PA_NR_CHECKS] = { false };
	struct pa_disturbed among = {};
	unsigned int max_cpu = 0;
	Py_buffer buffer = {};
	int picture = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "|OO$Ipz*:audit", keywords,
					 &names, &progress, &max_cpu, &picture,
					 &buffer))
		return NULL;

	struct pa_job job;
	struct audit_call call = {
		.kernel = object->kernel,
		.selected = names == Py_None ? NULL : selected,
		.among = buffer.buf ? &among : NULL,
		.job = &job,
		.picture = picture,
	};

	pa_job_init(&job, object->threads);
	job.max_cpu = max_cpu;
	if ((names == Py_None || select_checks(names, selected)) &&
	    (!buffer.buf || copy_pfns(&buffer, &among)) &&
	    !pa_watch_run(pa_object_state(self), audit_call_run, &call, &job,
			  progress))
		ret = audit_dict(object->kernel, call.audit);
	if (ret && picture &&
	    !pa_py_set(ret, "picture", pa_py_picture(call.drawn)))
		Py_CLEAR(ret);
	pa_picture_destroy(call.drawn);
	pa_audit_destroy(call.audit);
	pa_disturbed_deinit(&among);
	PyBuffer_Release(&buffer);
	return ret;
}

static PyObject *kernel_memory(PyObject *self, PyObject *Py_UNUSED(args))
{
	return pa_py_memory(((struct pa_kernel_object *)self)->kernel);
}

static PyObject *kernel_page(PyObject *self, PyObject *arg)
{
	unsigned long long pfn = PyLong_AsUnsignedLongLong(arg);

	if (pfn == (unsigned long long)-1 && PyErr_Occurred())
		return NULL;
	return pa_py_page(pa_object_state(self),
			  ((struct pa_kernel_object *)self)->kernel, pfn);
}

static PyObject *kernel_census(PyObject *self, PyObject *Py_UNUSED(args))
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_census(pa_object_state(self), object->kernel,
			    object->threads);
}

static PyObject *kernel_waiters(PyObject *self, PyObject *Py_UNUSED(args))
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_waiters(pa_object_state(self), object->kernel,
			     object->threads);
}

static PyObject *kernel_references(PyObject *self, PyObject *ranges)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_references(pa_object_state(self), object->kernel,
				object->threads, ranges);
}

static PyObject *kernel_slabs(PyObject *self, PyObject *questions)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_slabs(pa_object_state(self), object->kernel,
			   object->threads, questions);
}

static PyObject *kernel_search(PyObject *self, PyObject *args, PyObject *kwds)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_search(pa_object_state(self), object->kernel,
			    object->threads, args, kwds);
}

static PyObject *kernel_dossier(PyObject *self, PyObject *args, PyObject *kwds)
{
	static char *keywords[] = { "pfns", "progress", NULL };
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;
	PyObject *pfns, *progress = Py_None;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|O:dossier", keywords,
					 &pfns, &progress))
		return NULL;
	return pa_py_dossier(pa_object_state(self), object->kernel,
			     object->threads, pfns, progress);
}

/* Which page an address names: a struct page, or the direct map. */
static PyObject *kernel_resolve(PyObject *self, PyObject *arg)
{
	const struct pa_kernel *kernel =
		((struct pa_kernel_object *)self)->kernel;
	unsigned long long address = PyLong_AsUnsignedLongLong(arg);
	uint64_t pfn;

	if (address == (unsigned long long)-1 && PyErr_Occurred())
		return NULL;
	if (address >= kernel->space.direct_start &&
	    address < kernel->space.direct_end)
		return PyLong_FromUnsignedLongLong(
			(address - kernel->space.direct_start) >>
			kernel->space.page_shift);
	if (address >= kernel->space.image_start &&
	    address < kernel->space.image_end)
		return PyLong_FromUnsignedLongLong((address -
						    kernel->space.image_start +
						    kernel->space.image_phys) >>
						   kernel->space.page_shift);
	pa_page_to_pfn(kernel, address, &pfn);
	return pfn_or_none(pfn);
}

static PyObject *kernel_numbers(PyObject *self, PyObject *Py_UNUSED(args))
{
	const struct pa_kernel *kernel =
		((struct pa_kernel_object *)self)->kernel;

	return Py_BuildValue(
		"{s:s,s:K,s:K,s:K,s:I}", "arch", kernel->arch->name,
		"page_size", (unsigned long long)1 << kernel->space.page_shift,
		"vmemmap", (unsigned long long)kernel->space.vmemmap_start,
		"page_offset", (unsigned long long)kernel->space.direct_start,
		"page_struct_size", kernel->page_format.size);
}

static PyObject *kernel_log(PyObject *self, PyObject *Py_UNUSED(args))
{
	return pa_py_log(pa_object_state(self),
			 ((struct pa_kernel_object *)self)->kernel);
}

static PyObject *kernel_log_records(PyObject *self, PyObject *Py_UNUSED(args))
{
	return pa_py_log_records(pa_object_state(self),
				 ((struct pa_kernel_object *)self)->kernel);
}

static PyObject *kernel_crash(PyObject *self, PyObject *Py_UNUSED(args))
{
	return pa_py_crash(pa_object_state(self),
			   ((struct pa_kernel_object *)self)->kernel);
}

static PyMethodDef kernel_methods[] = {
	{ "audit", (PyCFunction)(void (*)(void))kernel_audit,
	  METH_VARARGS | METH_KEYWORDS,
	  "audit(checks=None, progress=None, *, max_cpu=0, picture=False) -> "
	  "dict\n\n"
	  "Take the census and run checks (all by default); with picture also "
	  "what each page is." },
	{ "memory", kernel_memory, METH_NOARGS,
	  "memory() -> dict\n\nSections, zones, memory blocks and pgmaps." },
	{ "page", kernel_page, METH_O,
	  "page(pfn) -> dict\n\nEverything known of one page." },
	{ "census", kernel_census, METH_NOARGS,
	  "census() -> dict\n\n"
	  "What every page is: a byte a page by section, a class in its low six "
	  "bits, then whether a list has it, then whether it is poisoned; and "
	  "each zone recounted." },
	{ "waiters", kernel_waiters, METH_NOARGS,
	  "waiters() -> dict\n\n"
	  "Who waits for a page, a bit or a variable, and the pages waited for." },
	{ "references", kernel_references, METH_O,
	  "references(ranges) -> list\n\n"
	  "Every slot of a holder that names a page of the ranges, each a tuple "
	  "(pfn, pfn_end)." },
	{ "slabs", kernel_slabs, METH_O,
	  "slabs(questions) -> list\n\n"
	  "For each name of a slab cache the addresses of its allocated objects, "
	  "for each address the object that it is in, or None." },
	{ "search", (PyCFunction)(void (*)(void))kernel_search,
	  METH_VARARGS | METH_KEYWORDS,
	  "search(pfns, *, encodings=None, max_hits=16, known=(), plain=False)"
	  " -> dict\n\n"
	  "Every word of kernel memory that names one of the pages, and where "
	  "it lies; addresses of slots in known are left out." },
	{ "dossier", (PyCFunction)(void (*)(void))kernel_dossier,
	  METH_VARARGS | METH_KEYWORDS,
	  "dossier(pfns, progress=None) -> dict\n\n"
	  "Who holds and who maps the folios of these pages, as (holder, kind, "
	  "count, pfn, slot, owner, index); what their owners are; and their "
	  "counts, stored and recounted." },
	{ "resolve", kernel_resolve, METH_O,
	  "resolve(address) -> int | None\n\n"
	  "The pfn that a struct page's or direct map address names." },
	{ "log", kernel_log, METH_NOARGS,
	  "log() -> list\n\nLines of the kernel's log that speak of pages." },
	{ "log_records", kernel_log_records, METH_NOARGS,
	  "log_records() -> dict\n\nAll of the log, and why not all of it." },
	{ "crash", kernel_crash, METH_NOARGS,
	  "crash() -> dict | None\n\nHow the kernel crashed, if it did." },
	{ "numbers", kernel_numbers, METH_NOARGS,
	  "numbers() -> dict\n\nArchitecture, page size and base addresses." },
	{ NULL },
};

static PyType_Slot kernel_slots[] = {
	{ Py_tp_doc, "Kernel(source, layout, *, threads=0)\n\n"
		     "A dumped kernel's memory model, read once." },
	{ Py_tp_new, kernel_new },
	{ Py_tp_dealloc, kernel_dealloc },
	{ Py_tp_traverse, kernel_traverse },
	{ Py_tp_methods, kernel_methods },
	{ 0, NULL },
};

static PyType_Spec kernel_spec = {
	.name = "drgn_contrib._pageaudit.Kernel",
	.basicsize = sizeof(struct pa_kernel_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
		 Py_TPFLAGS_IMMUTABLETYPE,
	.slots = kernel_slots,
};

int pa_kernel_type_add(PyObject *module)
{
	struct pa_module_state *state = pa_module_state(module);

	state->kernel_type = pa_module_add_type(module, &kernel_spec);
	return state->kernel_type ? 0 : -1;
}

PyObject *pa_py_checks(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
	PyObject *list = PyList_New(0);
	bool ok = list;

	for (int i = 0; ok && i < PA_NR_CHECKS; i++)
		ok = pa_py_append(list,
				  Py_BuildValue("{s:s,s:s,s:s}", "id",
						pa_checks[i].id, "summary",
						pa_checks[i].summary, "doc",
						pa_checks[i].doc));
	if (!ok)
		Py_CLEAR(list);
	return list;
}
