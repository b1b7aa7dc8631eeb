// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/kernel_type.h"

#include <sched.h>
#include <unistd.h>

#include "checks/check.h"
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

/*
 * Those that this process may run on: a container may have fewer than all. Of a
 * running kernel one is left to what runs on it.
 */
static unsigned int default_threads(const struct pa_source *source)
{
	cpu_set_t set;
	long nr = sched_getaffinity(0, sizeof(set), &set) ?
			  sysconf(_SC_NPROCESSORS_ONLN) :
			  CPU_COUNT(&set);

	if (nr > 1 && source->info.live)
		nr--;
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

	struct pa_source *opened = ((struct pa_source_object *)source)->source;
	struct pa_error *err;

	object->threads = threads ? (unsigned int)threads :
				    default_threads(opened);
	Py_BEGIN_ALLOW_THREADS
	err = pa_kernel_create(opened,
			       ((struct pa_layout_object *)layout)->layout,
			       &object->kernel);
	Py_END_ALLOW_THREADS
	if (err) {
		Py_DECREF(object);
		return pa_raise(state, err);
	}
	object->kernel->kallsyms =
		((struct pa_layout_object *)layout)->kallsyms;
	return (PyObject *)object;
}

PyObject *pa_py_pfn(uint64_t pfn)
{
	return pfn == PA_NO_PFN ? Py_NewRef(Py_None) :
				  PyLong_FromUnsignedLongLong(pfn);
}

static PyObject *kernel_audit(PyObject *self, PyObject *args, PyObject *kwds)
{
	struct pa_kernel_object *object = (struct pa_kernel_object *)self;

	return pa_py_audit(pa_object_state(self), object->kernel,
			   object->threads, args, kwds);
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

static PyObject *kernel_snapshot(PyObject *self, PyObject *pfns)
{
	return pa_py_snapshot(pa_object_state(self),
			      ((struct pa_kernel_object *)self)->kernel, pfns);
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
	return pa_py_pfn(pfn);
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
	  "audit(checks=None, progress=None, *, max_cpu=0, picture=False, "
	  "earlier=None) -> dict\n\n"
	  "Take the census and run checks (all by default); with picture also "
	  "what each page is. Of a running kernel earlier is that of the last "
	  "audit, at first (): counts and references are judged of pages that "
	  "were wrong then, too." },
	{ "memory", kernel_memory, METH_NOARGS,
	  "memory() -> dict\n\nSections, zones, memory blocks and pgmaps." },
	{ "page", kernel_page, METH_O,
	  "page(pfn) -> dict\n\nEverything known of one page." },
	{ "snapshot", kernel_snapshot, METH_O,
	  "snapshot(pfns) -> bytes\n\n"
	  "A digest of what each page and its folio say, to compare two moments "
	  "of a running kernel; pfns and digests have 8 bytes each." },
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

static PyObject *kernel_threads(PyObject *self, void *closure)
{
	(void)closure;
	return PyLong_FromUnsignedLong(
		((struct pa_kernel_object *)self)->threads);
}

static PyGetSetDef kernel_getset[] = {
	{ "threads", kernel_threads, NULL,
	  "How many threads work; of a running kernel one less by default.",
	  NULL },
	{ NULL },
};

static PyType_Slot kernel_slots[] = {
	{ Py_tp_doc, "Kernel(source, layout, *, threads=0)\n\n"
		     "A dumped kernel's memory model, read once." },
	{ Py_tp_new, kernel_new },
	{ Py_tp_dealloc, kernel_dealloc },
	{ Py_tp_traverse, kernel_traverse },
	{ Py_tp_methods, kernel_methods },
	{ Py_tp_getset, kernel_getset },
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
