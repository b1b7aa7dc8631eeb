// SPDX-License-Identifier: LGPL-2.1-or-later
#include "python/log.h"

#include <string.h>

#include "kernel/crash.h"
#include "kernel/log_page.h"
#include "python/kernel_type.h"

#define NS_PER_SECOND 1e9

/* Logs hold any bytes: what is no UTF-8 is shown as such. */
static PyObject *text_object(const char *text, size_t length)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)length,
				    "backslashreplace");
}

static PyObject *text_or_none(const char *text)
{
	return *text ? text_object(text, strlen(text)) : Py_NewRef(Py_None);
}

static PyObject *number_or_none(bool known, uint64_t number)
{
	return known ? PyLong_FromUnsignedLongLong(number) : Py_NewRef(Py_None);
}

/* *error_ret is why there is no log, or NULL; owned by the caller. */
static struct pa_error *read_log(const struct pa_kernel *kernel,
				 struct pa_memory **memory_ret,
				 struct pa_log *log,
				 struct pa_error **error_ret)
{
	struct pa_memory *memory = NULL;
	struct pa_error *err = pa_kernel_memory(kernel, &memory);

	*error_ret = NULL;
	if (err)
		return err;
	err = pa_log_read(memory, kernel->layout, log);
	if (pa_error_is_target(err) ||
	    (err && (err->code == PA_ERROR_MISSING ||
		     err->code == PA_ERROR_UNSUPPORTED))) {
		*error_ret = err;
		*log = (struct pa_log){ 0 };
		err = NULL;
	}
	if (err)
		pa_memory_destroy(memory);
	else
		*memory_ret = memory;
	return err;
}

static PyObject *lines_list(const struct pa_log_lines *lines)
{
	PyObject *list = PyList_New(0);
	bool ok = list;

	for (size_t i = 0; ok && i < lines->list.length; i++) {
		const struct pa_log_line *line = &lines->list.items[i];

		ok = pa_py_append(
			list,
			Py_BuildValue(
				"{s:d,s:N,s:s,s:N}", "time",
				(double)line->time_ns / NS_PER_SECOND, "text",
				text_object(line->text.at,
					    pa_text_length(line->text)),
				"kind", pa_log_kind_names[line->kind], "pfn",
				number_or_none(line->pfn != PA_NO_PFN,
					       line->pfn)));
	}
	if (!ok)
		Py_CLEAR(list);
	return list;
}

PyObject *pa_py_log(struct pa_module_state *state,
		    const struct pa_kernel *kernel)
{
	struct pa_memory *memory = NULL;
	struct pa_log log = { 0 };
	struct pa_log_lines lines = { 0 };
	struct pa_error *unread, *err;
	PyObject *list = NULL;

	err = read_log(kernel, &memory, &log, &unread);
	if (!err)
		err = pa_log_lines_init(kernel, &log, &lines);
	if (err)
		pa_raise(state, err);
	else
		list = lines_list(&lines);
	pa_error_destroy(unread);
	pa_log_lines_deinit(&lines);
	pa_log_deinit(&log);
	pa_memory_destroy(memory);
	return list;
}

static PyObject *records_list(const struct pa_log *log)
{
	PyObject *list = PyList_New(0);
	bool ok = list;

	for (size_t i = 0; ok && i < log->records.length; i++) {
		const struct pa_log_record *record = &log->records.items[i];

		ok = pa_py_append(
			list,
			Py_BuildValue(
				"{s:K,s:K,s:I,s:I,s:I,s:y#}", "seq",
				(unsigned long long)record->seq, "time_ns",
				(unsigned long long)record->time_ns, "level",
				(unsigned int)record->level, "facility",
				(unsigned int)record->facility, "caller_id",
				record->caller_id, "text", record->text,
				(Py_ssize_t)record->length));
	}
	if (!ok)
		Py_CLEAR(list);
	return list;
}

PyObject *pa_py_log_records(struct pa_module_state *state,
			    const struct pa_kernel *kernel)
{
	struct pa_memory *memory = NULL;
	struct pa_log log = { 0 };
	struct pa_error *unread;
	struct pa_error *err = read_log(kernel, &memory, &log, &unread);
	PyObject *dict;

	if (err)
		return pa_raise(state, err);
	dict = Py_BuildValue(
		"{s:N,s:K,s:K,s:N}", "error",
		unread ? text_or_none(unread->message) : Py_NewRef(Py_None),
		"lost", (unsigned long long)log.nr_lost, "unreadable",
		(unsigned long long)log.nr_unreadable, "records",
		records_list(&log));
	pa_error_destroy(unread);
	pa_log_deinit(&log);
	pa_memory_destroy(memory);
	return dict;
}

static const char *const link_names[] = {
	[PA_CRASH_STRUCT_PAGE] = "struct page",
	[PA_CRASH_CONTENTS] = "contents",
	[PA_CRASH_DUMPED] = "page dump",
	[PA_CRASH_LIST] = "list",
};

/* "CR2, RDI": all that name the page of @pages[@at] in the same way. */
static PyObject *registers_of(const struct pa_crash *crash, size_t at)
{
	const struct pa_crash_page *page = &crash->pages[at];
	char text[256] = "";
	size_t length = 0;

	for (size_t i = at; i < crash->nr_pages; i++) {
		const struct pa_crash_page *other = &crash->pages[i];

		if (other->pfn != page->pfn || other->link != page->link ||
		    length >= sizeof(text))
			continue;
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%s%s", length ? ", " : "",
					   other->where);
	}
	return PyUnicode_FromString(text);
}

/* One page each, however many registers name it. */
static bool is_repeated(const struct pa_crash *crash, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (crash->pages[i].pfn == crash->pages[at].pfn)
			return true;
	return false;
}

static PyObject *page_dict(const struct pa_kernel *kernel,
			   const struct pa_crash *crash, size_t at)
{
	const struct pa_crash_page *page = &crash->pages[at];

	return Py_BuildValue(
		"{s:K,s:N,s:N,s:s,s:N,s:s,s:K,s:N,s:z,s:z}", "pfn",
		(unsigned long long)page->pfn, "register",
		registers_of(crash, at), "address", pa_py_hex(page->address),
		"names", link_names[page->link], "page",
		pa_py_hex(pa_pfn_to_page(kernel, page->pfn)), "state",
		pa_pfn_state_names[page->state], "section",
		(unsigned long long)page->section_nr, "block",
		number_or_none(page->block, page->block ? page->block->id : 0),
		"block_state",
		page->block ? pa_block_state_names[page->block->state] : NULL,
		"pgmap",
		page->pgmap ? pa_pgmap_type_names[page->pgmap->type] : NULL);
}

static PyObject *pages_list(const struct pa_kernel *kernel,
			    const struct pa_crash *crash)
{
	PyObject *list = PyList_New(0);
	bool ok = list;

	for (size_t i = 0; ok && i < crash->nr_pages; i++)
		if (!is_repeated(crash, i))
			ok = pa_py_append(list, page_dict(kernel, crash, i));
	if (!ok)
		Py_CLEAR(list);
	return list;
}

static PyObject *registers_dict(const struct pa_crash *crash)
{
	PyObject *dict = PyDict_New();
	bool ok = dict;

	for (int reg = 0; ok && reg < PA_NR_CRASH_REGISTERS; reg++)
		if (crash->known_regs & 1u << reg)
			ok = pa_py_set(dict, pa_crash_register_names[reg],
				       pa_py_hex(crash->regs[reg]));
	if (!ok)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *crash_dict(const struct pa_kernel *kernel,
			    const struct pa_crash *crash)
{
	bool has_task = crash->task[0];

	if (!crash->crashed)
		Py_RETURN_NONE;
	return Py_BuildValue("{s:N,s:N,s:N,s:N,s:d,s:N,s:N,s:N,s:N,s:N}",
			     "panic", text_or_none(crash->panic), "task",
			     text_or_none(crash->task), "pid",
			     number_or_none(has_task, crash->pid), "cpu",
			     number_or_none(has_task, crash->cpu), "time",
			     (double)crash->time_ns / NS_PER_SECOND, "rip",
			     number_or_none(crash->has_rip, crash->rip),
			     "rip_symbol", text_or_none(crash->rip_symbol),
			     "cr2", number_or_none(crash->has_cr2, crash->cr2),
			     "registers", registers_dict(crash), "pages",
			     pages_list(kernel, crash));
}

PyObject *pa_py_crash(struct pa_module_state *state,
		      const struct pa_kernel *kernel)
{
	struct pa_memory *memory = NULL;
	struct pa_log log = { 0 };
	struct pa_crash crash = { 0 };
	struct pa_error *unread, *err;
	PyObject *ret = NULL;

	err = read_log(kernel, &memory, &log, &unread);
	if (!err)
		err = pa_crash_read(kernel, memory, &log, &crash);
	if (err)
		pa_raise(state, err);
	else
		ret = crash_dict(kernel, &crash);
	pa_error_destroy(unread);
	pa_log_deinit(&log);
	pa_memory_destroy(memory);
	return ret;
}
