// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/source_type.h"

#include "base/cleanup.h"

static const char *format_id(enum pa_source_format format)
{
	switch (format) {
	case PA_SOURCE_ELF:
		return "elf";
	case PA_SOURCE_KDUMP:
		return "kdump";
	case PA_SOURCE_KCORE:
		return "kcore";
	case PA_SOURCE_CALLBACK:
		return "callback";
	}
	return "unknown";
}

static struct pa_source_object *source_alloc(PyTypeObject *type)
{
	/* PyType_GenericAlloc() zeroes it. */
	struct pa_source_object *object =
		(struct pa_source_object *)type->tp_alloc(type, 0);

	if (object)
		pthread_mutex_init(&object->lock, NULL);
	return object;
}

static int source_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct pa_source_object *)self)->read);
	return 0;
}

/* Breaks cycles; a read after this finds no memory. */
static int source_clear(PyObject *self)
{
	Py_CLEAR(((struct pa_source_object *)self)->read);
	return 0;
}

static void source_dealloc(PyObject *self)
{
	struct pa_source_object *object = (struct pa_source_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	if (object->source)
		pa_source_destroy(object->source);
	source_clear(self);
	pthread_mutex_destroy(&object->lock);
	type->tp_free(self);
	Py_DECREF(type);
}

const char **pa_paths_from_python(PyObject *paths, PyObject **held_ret)
{
	PyObject *sequence = PySequence_Fast(paths, "paths must be a sequence");

	if (!sequence)
		return NULL;

	Py_ssize_t length = PySequence_Fast_GET_SIZE(sequence);
	PyObject *held = PyTuple_New(length);
	const char **ret = held ? calloc((size_t)length + 1, sizeof(*ret)) :
				  NULL;

	if (held && !ret)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; ret && i < length; i++) {
		PyObject *bytes;

		if (!PyUnicode_FSConverter(
			    PySequence_Fast_GET_ITEM(sequence, i), &bytes)) {
			free(ret);
			ret = NULL;
			break;
		}
		PyTuple_SET_ITEM(held, i, bytes);
		ret[i] = PyBytes_AS_STRING(bytes);
	}
	Py_DECREF(sequence);
	if (ret)
		*held_ret = held;
	else
		Py_XDECREF(held);
	return ret;
}

/* A class method: @self is the type, which has no subclasses. */
static PyObject *source_open(PyObject *self, PyObject *list)
{
	PyTypeObject *type = (PyTypeObject *)self;
	PyObject *held;
	pa_auto_free const char **paths = pa_paths_from_python(list, &held);

	if (!paths)
		return NULL;

	struct pa_source_object *object = source_alloc(type);
	struct pa_error *err = NULL;

	if (object) {
		Py_BEGIN_ALLOW_THREADS
		err = pa_source_open(paths, (size_t)PyTuple_GET_SIZE(held),
				     &object->source);
		Py_END_ALLOW_THREADS
	}
	Py_DECREF(held);
	if (!err)
		return (PyObject *)object;
	Py_DECREF(object);
	return pa_raise(PyType_GetModuleState(type), err);
}

static struct pa_error *error_from_exception(uint64_t phys)
{
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);

	PyObject *text = value ? PyObject_Str(value) : NULL;
	const char *utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
	struct pa_error *err = pa_error_at(
		PA_ERROR_OS, phys, "reading physical address %#llx failed: %s",
		(unsigned long long)phys, utf8 ? utf8 : "unknown error");

	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(traceback);
	return err;
}

/* With the GIL. */
static struct pa_error *read_through_python(PyObject *read, uint64_t phys,
					    uint64_t length, uint8_t *buffer,
					    enum pa_presence *presence)
{
	PyObject *result = PyObject_CallFunction(read, "KK",
						 (unsigned long long)phys,
						 (unsigned long long)length);

	if (!result)
		return error_from_exception(phys);
	if (result == Py_None) {
		*presence = PA_UNREADABLE;
		Py_DECREF(result);
		return NULL;
	}

	struct pa_error *err = NULL;
	Py_buffer view;

	if (PyObject_GetBuffer(result, &view, PyBUF_SIMPLE) < 0) {
		err = error_from_exception(phys);
	} else {
		if ((uint64_t)view.len == length) {
			memcpy(buffer, view.buf, length);
			*presence = PA_PRESENT;
		} else {
			err = pa_error_at(
				PA_ERROR_OS, phys,
				"asked for %llu bytes at %#llx, got %llu",
				(unsigned long long)length,
				(unsigned long long)phys,
				(unsigned long long)view.len);
		}
		PyBuffer_Release(&view);
	}
	Py_DECREF(result);
	return err;
}

/* Called on any thread, with the GIL or without. */
static struct pa_error *source_callback(void *arg, uint64_t phys,
					uint64_t length, uint8_t *buffer,
					enum pa_presence *presence)
{
	struct pa_source_object *object = arg;
	struct pa_error *err = NULL;
	PyGILState_STATE gil = PyGILState_Ensure();

	/* Who has the lock may be waiting for the GIL. */
	Py_BEGIN_ALLOW_THREADS
	pthread_mutex_lock(&object->lock);
	Py_END_ALLOW_THREADS
	if (object->read)
		err = read_through_python(object->read, phys, length, buffer,
					  presence);
	else
		*presence = PA_UNREADABLE;
	pthread_mutex_unlock(&object->lock);
	PyGILState_Release(gil);
	return err;
}

/* A class method, too. */
static PyObject *source_from_callback(PyObject *self, PyObject *args,
				      PyObject *kwargs)
{
	static char *names[] = { "read", "vmcoreinfo", "live", "machine",
				 NULL };
	PyTypeObject *type = (PyTypeObject *)self;
	PyObject *read, *note;
	const char *vmcoreinfo = NULL;
	int live;
	unsigned short machine;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOpH:from_callback",
					 names, &read, &note, &live, &machine))
		return NULL;
	if (!PyCallable_Check(read)) {
		PyErr_SetString(PyExc_TypeError, "read must be callable");
		return NULL;
	}
	if (note != Py_None) {
		vmcoreinfo = PyBytes_AsString(note);
		if (!vmcoreinfo)
			return NULL;
	}

	struct pa_source_object *object = source_alloc(type);

	if (!object)
		return NULL;
	Py_INCREF(read);
	object->read = read;

	struct pa_error *err;

	Py_BEGIN_ALLOW_THREADS
	err = pa_source_callback(source_callback, object, vmcoreinfo, live,
				 (uint16_t)machine, &object->source);
	Py_END_ALLOW_THREADS
	if (!err)
		return (PyObject *)object;
	Py_DECREF(object);
	return pa_raise(PyType_GetModuleState(type), err);
}

static PyObject *source_read(PyObject *self, PyObject *args)
{
	struct pa_source *source = ((struct pa_source_object *)self)->source;
	unsigned long long phys;
	Py_ssize_t length;

	if (!PyArg_ParseTuple(args, "Kn:read", &phys, &length))
		return NULL;

	PyObject *bytes = PyBytes_FromStringAndSize(NULL, length);

	if (!bytes)
		return NULL;

	struct pa_reader *reader;
	struct pa_error *err;

	Py_BEGIN_ALLOW_THREADS
	err = pa_reader_create(source, &reader);
	if (!err) {
		err = pa_reader_read(reader, phys, (uint64_t)length,
				     PyBytes_AS_STRING(bytes));
		pa_reader_destroy(reader);
	}
	Py_END_ALLOW_THREADS
	if (!err)
		return bytes;
	Py_DECREF(bytes);
	return pa_raise(pa_object_state(self), err);
}

static PyObject *info_ranges(const struct pa_source_info *info)
{
	PyObject *list = PyList_New(0);

	pa_array_for_each(range, &info->ranges) {
		PyObject *pair =
			list ? Py_BuildValue("KK",
					     (unsigned long long)range->start,
					     (unsigned long long)range->end) :
			       NULL;

		if (!pair || PyList_Append(list, pair) < 0)
			Py_CLEAR(list);
		Py_XDECREF(pair);
	}
	return list;
}

static PyObject *info_cpus(const struct pa_source_info *info)
{
	PyObject *list = PyList_New(0);

	pa_array_for_each(cpu, &info->cpus) {
		PyObject *regs = list ? PyList_New(0) : NULL;

		for (size_t i = 0;
		     regs && i < sizeof(cpu->regs) / sizeof(cpu->regs[0]);
		     i++) {
			PyObject *value =
				PyLong_FromUnsignedLongLong(cpu->regs[i]);

			if (!value || PyList_Append(regs, value) < 0)
				Py_CLEAR(regs);
			Py_XDECREF(value);
		}

		PyObject *entry = regs ? Py_BuildValue("{s:I,s:N}", "pid",
						       cpu->pid, "regs", regs) :
					 NULL;

		if (!entry || PyList_Append(list, entry) < 0)
			Py_CLEAR(list);
		Py_XDECREF(entry);
	}
	return list;
}

static PyObject *source_info(PyObject *self, void *Py_UNUSED(closure))
{
	const struct pa_source_info *info =
		&((struct pa_source_object *)self)->source->info;
	PyObject *level;

	if (info->dump_level < 0) {
		Py_INCREF(Py_None);
		level = Py_None;
	} else {
		level = PyLong_FromLong(info->dump_level);
	}
	/* N takes the references, also where one is NULL and all fails. */
	return Py_BuildValue(
		"{s:s,s:s,s:N,s:N,s:s,s:N,s:i,s:y,s:N,s:N,s:N}", "format",
		format_id(info->format), "format_name", info->format_name,
		"live", PyBool_FromLong(info->live), "complete",
		PyBool_FromLong(info->complete), "incomplete_reason",
		info->incomplete_reason, "dump_level", level, "machine",
		(int)info->machine, "vmcoreinfo", info->vmcoreinfo, "ranges",
		info_ranges(info), "cpus", info_cpus(info), "from_hypervisor",
		PyBool_FromLong(info->from_hypervisor));
}

static PyMethodDef source_methods[] = {
	{ "open", source_open, METH_CLASS | METH_O,
	  "open(paths) -> Source\n\n"
	  "Opens a vmcore, all parts of a split one, or /proc/kcore." },
	{ "from_callback", (PyCFunction)(void (*)(void))source_from_callback,
	  METH_CLASS | METH_VARARGS | METH_KEYWORDS,
	  "from_callback(read, vmcoreinfo, live, machine) -> Source\n\n"
	  "Memory through read(phys, length), which returns that many bytes\n"
	  "or None where there are none. It runs on any thread, one at a time." },
	{ "read", source_read, METH_VARARGS,
	  "read(phys, length) -> bytes\n\n"
	  "Physical memory; TargetError if not all of it is there." },
	{ NULL },
};

static PyGetSetDef source_getset[] = {
	{ "info", source_info, NULL, "Facts about the target: a new dict.",
	  NULL },
	{ NULL },
};

static PyType_Slot source_slots[] = {
	{ Py_tp_doc, "Where bytes come from: physical memory of the target.\n\n"
		     "Made by Source.open() or Source.from_callback()." },
	{ Py_tp_dealloc, source_dealloc },
	{ Py_tp_traverse, source_traverse },
	{ Py_tp_clear, source_clear },
	{ Py_tp_methods, source_methods },
	{ Py_tp_getset, source_getset },
	{ 0, NULL },
};

static PyType_Spec source_spec = {
	.name = "drgn_contrib._pageaudit.Source",
	.basicsize = sizeof(struct pa_source_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = source_slots,
};

int pa_source_type_add(PyObject *module)
{
	PyTypeObject *type = pa_module_add_type(module, &source_spec);

	if (!type)
		return -1;
	pa_module_state(module)->source_type = type;
	/* Objects are made by the class methods only. */
	type->tp_new = NULL;
	return 0;
}
