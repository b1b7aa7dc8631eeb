// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/layout_type.h"

#include "base/cleanup.h"
#include "kernel/module_types.h"
#include "python/source_type.h"
#include "types/btf.h"
#include "types/dwarf.h"
#include "types/table.h"
#include "types/target.h"

static void layout_dealloc(PyObject *self)
{
	struct pa_layout_object *object = (struct pa_layout_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	free(object->layout);
	pa_kallsyms_destroy(object->kallsyms);
	type->tp_free(self);
	Py_DECREF(type);
}

static struct pa_layout_object *layout_alloc(PyTypeObject *type)
{
	struct pa_layout_object *object =
		(struct pa_layout_object *)type->tp_alloc(type, 0);

	if (!object)
		return NULL;
	object->layout = calloc(1, sizeof(*object->layout));
	if (!object->layout) {
		Py_DECREF(object);
		PyErr_NoMemory();
		return NULL;
	}
	return object;
}

/* The object, or NULL with the exception for @err. */
static PyObject *layout_finish(struct pa_layout_object *object,
			       struct pa_error *err)
{
	if (!err)
		return (PyObject *)object;

	struct pa_module_state *state = pa_object_state((PyObject *)object);

	Py_DECREF(object);
	return pa_raise(state, err);
}

/* A Source, or None where @optional: false with an exception if neither. */
static bool source_from_python(PyTypeObject *type, PyObject *object,
			       bool optional, struct pa_source **ret)
{
	struct pa_module_state *state = PyType_GetModuleState(type);

	*ret = NULL;
	if (optional && object == Py_None)
		return true;
	if (!PyObject_TypeCheck(object, state->source_type)) {
		PyErr_SetString(PyExc_TypeError, "source must be a Source");
		return false;
	}
	*ret = ((struct pa_source_object *)object)->source;
	return true;
}

/* Without the GIL. */
static struct pa_error *load_dwarf(struct pa_source *source,
				   const char *const *paths, size_t nr_paths,
				   const char *cache_dir,
				   struct pa_layout *layout)
{
	struct pa_error *err = NULL;
	uint64_t kaslr_offset = 0;

	if (source && nr_paths) {
		struct pa_reader *reader;

		err = pa_reader_create(source, &reader);
		if (err)
			return err;
		err = pa_target_check_vmlinux(reader, paths[0]);
		pa_reader_destroy(reader);
		if (err)
			return err;
		kaslr_offset = pa_target_kaslr_offset(&source->info);
	}
	err = pa_layout_from_dwarf(paths, nr_paths, kaslr_offset, cache_dir,
				   layout);
	if (err || !source)
		return err;
	err = pa_target_check_symbols(&source->info, layout, paths[0]);
	if (!err)
		err = pa_layout_check(layout);
	return err ? err : pa_module_types_add(source, layout);
}

static PyObject *layout_from_dwarf(PyObject *self, PyObject *args,
				   PyObject *kwargs)
{
	static char *names[] = { "source", "paths", "cache_dir", NULL };
	PyTypeObject *type = (PyTypeObject *)self;
	PyObject *source_object, *list, *cache = Py_None;
	struct pa_source *source;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:from_dwarf", names,
					 &source_object, &list, &cache) ||
	    !source_from_python(type, source_object, true, &source))
		return NULL;

	PyObject *held = NULL;
	PyObject *cache_bytes = NULL;
	struct pa_layout_object *object = NULL;
	pa_auto_free const char **paths = pa_paths_from_python(list, &held);

	if (paths &&
	    (cache == Py_None || PyUnicode_FSConverter(cache, &cache_bytes)))
		object = layout_alloc(type);
	if (!object) {
		Py_XDECREF(held);
		Py_XDECREF(cache_bytes);
		return NULL;
	}

	const char *cache_dir = cache_bytes ? PyBytes_AS_STRING(cache_bytes) :
					      NULL;
	struct pa_error *err;

	Py_BEGIN_ALLOW_THREADS
	err = load_dwarf(source, paths, (size_t)PyTuple_GET_SIZE(held),
			 cache_dir, object->layout);
	Py_END_ALLOW_THREADS

	Py_DECREF(held);
	Py_XDECREF(cache_bytes);
	return layout_finish(object, err);
}

/* Without the GIL. */
static struct pa_error *load_btf(struct pa_source *source,
				 struct pa_layout_object *object)
{
	struct pa_reader *reader;
	struct pa_error *err = pa_reader_create(source, &reader);

	if (err)
		return err;
	err = pa_layout_from_target(reader, object->layout, &object->kallsyms);
	pa_reader_destroy(reader);
	if (!err)
		err = pa_layout_check(object->layout);
	return err ? err : pa_module_types_add(source, object->layout);
}

static PyObject *layout_from_btf(PyObject *self, PyObject *source_object)
{
	PyTypeObject *type = (PyTypeObject *)self;
	struct pa_source *source;

	if (!source_from_python(type, source_object, false, &source))
		return NULL;

	struct pa_layout_object *object = layout_alloc(type);
	struct pa_error *err;

	if (!object)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	err = load_btf(source, object);
	Py_END_ALLOW_THREADS
	return layout_finish(object, err);
}

/* Without the GIL. */
static struct pa_error *load_btf_data(const Py_buffer *base,
				      const Py_buffer *split,
				      struct pa_layout *layout)
{
	pa_auto_wanted struct pa_wanted *wanted = NULL;
	pa_auto_btf struct pa_btf *btf = NULL;
	struct pa_error *err = pa_wanted_create(&wanted);

	layout->from = PA_TYPES_FROM_BTF;
	if (!err)
		err = pa_btf_create(base->buf, (size_t)base->len, NULL, &btf);
	if (err)
		return err;
	pa_btf_fill(btf, wanted, layout);
	if (!split->buf)
		return NULL;
	return pa_layout_add_btf(layout, base->buf, (size_t)base->len,
				 split->buf, (size_t)split->len);
}

static PyObject *layout_from_btf_data(PyObject *self, PyObject *args)
{
	PyTypeObject *type = (PyTypeObject *)self;
	Py_buffer base = {};
	Py_buffer split = {};

	if (!PyArg_ParseTuple(args, "y*|y*:from_btf_data", &base, &split))
		return NULL;

	struct pa_layout_object *object = layout_alloc(type);
	struct pa_error *err = NULL;

	if (object) {
		Py_BEGIN_ALLOW_THREADS
		err = load_btf_data(&base, &split, object->layout);
		Py_END_ALLOW_THREADS
	}
	PyBuffer_Release(&base);
	if (split.obj)
		PyBuffer_Release(&split);
	return object ? layout_finish(object, err) : NULL;
}

/* A dict of one entry: what all have, then what its kind has. */
static PyObject *entry(const char *kind, const char *name, enum pa_need need,
		       const char *note, bool known)
{
	return Py_BuildValue("{s:s,s:s,s:N,s:s,s:N}", "kind", kind, "name",
			     name, "required",
			     PyBool_FromLong(need == PA_NEED_REQUIRED), "note",
			     note, "known", PyBool_FromLong(known));
}

static bool set_number(PyObject *dict, const char *key, PyObject *number)
{
	bool ok = dict && number &&
		  PyDict_SetItemString(dict, key, number) == 0;

	Py_XDECREF(number);
	return ok;
}

static bool set_unsigned(PyObject *dict, const char *key, uint64_t value)
{
	return set_number(dict, key, PyLong_FromUnsignedLongLong(value));
}

/* Takes @dict's reference. */
static bool append(PyObject *list, PyObject *dict, bool ok)
{
	ok = ok && dict && PyList_Append(list, dict) == 0;
	Py_XDECREF(dict);
	return ok;
}

static bool append_member(PyObject *list, const struct pa_layout *layout,
			  int id)
{
	const struct pa_member *member = &layout->members[id];
	const struct pa_member_row *row = &pa_member_rows[id];
	char name[PA_MEMBER_NAME_MAX];
	PyObject *dict = entry("member", pa_member_name(id, name), row->need,
			       row->note, member->known);

	return append(
		list, dict,
		set_unsigned(dict, "offset", member->offset) &&
			set_unsigned(dict, "size", member->size) &&
			set_unsigned(dict, "length", member->length) &&
			set_unsigned(dict, "element_size",
				     member->element_size) &&
			set_unsigned(dict, "bit_size", member->bit_size) &&
			set_unsigned(dict, "bit_offset", member->bit_offset));
}

static bool append_entries(PyObject *list, const struct pa_layout *layout)
{
	for (int i = 0; i < PA_NR_TYPES; i++) {
		const struct pa_type *type = &layout->types[i];
		PyObject *dict = entry("type", pa_type_names[i],
				       pa_type_rows[i].need,
				       pa_type_rows[i].note, type->known);

		if (!append(list, dict, set_unsigned(dict, "size", type->size)))
			return false;
	}
	for (int i = 0; i < PA_NR_MEMBERS; i++)
		if (!append_member(list, layout, i))
			return false;
	for (int i = 0; i < PA_NR_ENUMERATORS; i++) {
		const struct pa_enumerator *enumerator =
			&layout->enumerators[i];
		PyObject *dict = entry("enumerator", pa_enumerator_names[i],
				       pa_enumerator_rows[i].need,
				       pa_enumerator_rows[i].note,
				       enumerator->known);

		if (!append(list, dict,
			    set_number(dict, "value",
				       PyLong_FromLongLong(enumerator->value))))
			return false;
	}
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		const struct pa_symbol *symbol = &layout->symbols[i];
		PyObject *dict = entry("symbol", pa_symbol_names[i],
				       pa_symbol_rows[i].need,
				       pa_symbol_rows[i].note, symbol->known);

		if (!append(list, dict,
			    set_unsigned(dict, "address", symbol->address)))
			return false;
	}
	return true;
}

static PyObject *layout_entries(PyObject *self, PyObject *Py_UNUSED(args))
{
	PyObject *list = PyList_New(0);

	if (list &&
	    !append_entries(list, ((struct pa_layout_object *)self)->layout))
		Py_CLEAR(list);
	return list;
}

static PyObject *layout_symbol_at(PyObject *self, PyObject *argument)
{
	struct pa_layout_object *object = (struct pa_layout_object *)self;
	unsigned long long address = PyLong_AsUnsignedLongLong(argument);
	struct pa_symbol_at at;

	if (PyErr_Occurred())
		return NULL;
	if (!object->kallsyms ||
	    !pa_kallsyms_find_address(object->kallsyms, address, &at))
		Py_RETURN_NONE;

	/* Names come from the target: bytes of any encoding. */
	PyObject *name = PyUnicode_DecodeUTF8(
		at.name, (Py_ssize_t)strlen(at.name), "backslashreplace");

	return name ? Py_BuildValue("NKK", name, (unsigned long long)at.offset,
				    (unsigned long long)at.size) :
		      NULL;
}

static PyObject *layout_types_from(PyObject *self, void *Py_UNUSED(closure))
{
	switch (((struct pa_layout_object *)self)->layout->from) {
	case PA_TYPES_FROM_DWARF:
		return PyUnicode_FromString("dwarf");
	case PA_TYPES_FROM_BTF:
		return PyUnicode_FromString("btf");
	}
	return PyUnicode_FromString("unknown");
}

static PyMethodDef layout_methods[] = {
	{ "from_dwarf", (PyCFunction)(void (*)(void))layout_from_dwarf,
	  METH_CLASS | METH_VARARGS | METH_KEYWORDS,
	  "from_dwarf(source, paths, cache_dir=None) -> Layout\n\n"
	  "From a vmlinux, which must be the target's, then debug files of\n"
	  "modules. Without a source (None) nothing is checked, and addresses\n"
	  "are as the vmlinux has them." },
	{ "from_btf", layout_from_btf, METH_CLASS | METH_O,
	  "from_btf(source) -> Layout\n\n"
	  "From the BTF and kallsyms in the target itself." },
	{ "from_btf_data", layout_from_btf_data, METH_CLASS | METH_VARARGS,
	  "from_btf_data(base, split=None) -> Layout\n\n"
	  "The types alone, from bytes of vmlinux's BTF and of one module's." },
	{ "entries", layout_entries, METH_NOARGS,
	  "entries() -> list\n\n"
	  "A dict for each entry of the table: kind (type, member, enumerator,\n"
	  "symbol), name, required, note, known, and what its kind has: size,\n"
	  "offset, length, element_size, bit_size, bit_offset, value, address." },
	{ "symbol_at", layout_symbol_at, METH_O,
	  "symbol_at(address) -> (name, offset, size) or None\n\n"
	  "The symbol that a kernel address lies in, by kallsyms." },
	{ NULL },
};

static PyGetSetDef layout_getset[] = {
	{ "types_from", layout_types_from, NULL, "\"dwarf\" or \"btf\".",
	  NULL },
	{ NULL },
};

static PyType_Slot layout_slots[] = {
	{ Py_tp_doc, "What the bytes mean: types and symbols of one kernel.\n\n"
		     "Made by Layout.from_dwarf() or Layout.from_btf()." },
	{ Py_tp_dealloc, layout_dealloc },
	{ Py_tp_methods, layout_methods },
	{ Py_tp_getset, layout_getset },
	{ 0, NULL },
};

static PyType_Spec layout_spec = {
	.name = "drgn_contrib._pageaudit.Layout",
	.basicsize = sizeof(struct pa_layout_object),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = layout_slots,
};

int pa_layout_type_add(PyObject *module)
{
	PyTypeObject *type = pa_module_add_type(module, &layout_spec);

	if (!type)
		return -1;
	pa_module_state(module)->layout_type = type;
	/* Objects are made by the class methods only. */
	type->tp_new = NULL;
	return 0;
}
