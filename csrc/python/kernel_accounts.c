// SPDX-License-Identifier: LGPL-2.1-or-later
/* Of Kernel.census(): what the holders showed, page by page and mm by mm. */
#include "python/kernel_type.h"

#include "census/account.h"
#include "census/holder.h"
#include "census/page_table.h"

#define ULL(x) ((unsigned long long)(x))

static bool set_column(PyObject *dict, const char *name, const void *column,
		       size_t bytes)
{
	return !column ||
	       pa_py_set(dict, name,
			 PyBytes_FromStringAndSize(column, (Py_ssize_t)bytes));
}

static PyObject *account_dict(const struct pa_account *account, size_t pages)
{
	PyObject *dict = PyDict_New();

	if (dict && set_column(dict, "maps", account->maps, pages * 4) &&
	    set_column(dict, "refs", account->refs, pages * 4) &&
	    set_column(dict, "pins", account->pins, pages * 2) &&
	    set_column(dict, "entire", account->entire,
		       (pages >> PA_ENTIRE_SHIFT) * 4))
		return dict;
	Py_XDECREF(dict);
	return NULL;
}

PyObject *pa_py_accounts(const struct pa_census *census)
{
	const struct pa_sections *sections = &census->kernel->sections;
	PyObject *dict = PyDict_New();

	for (size_t i = 0;
	     dict && census->accounts && i < sections->list.length; i++) {
		PyObject *key =
			PyLong_FromUnsignedLongLong(sections->list.items[i].nr);
		PyObject *columns = account_dict(&census->accounts->sections[i],
						 sections->pages);

		if (!key || !columns || PyDict_SetItem(dict, key, columns) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(columns);
	}
	return dict;
}

PyObject *pa_py_holders(const struct pa_census *census)
{
	PyObject *dict = PyDict_New();

	for (int i = 0; dict && census->holders && i < PA_NR_HOLDERS; i++) {
		const struct pa_holder_result *result = &census->holders[i];

		if (pa_holders[i].item &&
		    !pa_py_set(
			    dict, pa_holders[i].name,
			    Py_BuildValue("{s:K,s:K,s:d,s:z}", "references",
					  ULL(result->references), "unreadable",
					  ULL(result->unreadable), "seconds",
					  result->seconds, "error",
					  result->err ? result->err->message :
							NULL)))
			Py_CLEAR(dict);
	}
	return dict;
}

static PyObject *entry_counts(const struct pa_mm_tables *of)
{
	PyObject *dict = PyDict_New();

	for (int i = 0; dict && i < PA_NR_ENTRY_KINDS; i++)
		if (of->entries[i] &&
		    !pa_py_set(dict, pa_entry_kind_names[i],
			       PyLong_FromUnsignedLongLong(of->entries[i])))
			Py_CLEAR(dict);
	return dict;
}

static PyObject *mm_dict(const struct pa_mm *mm, const struct pa_mm_tables *of)
{
	return Py_BuildValue(
		"{s:K,s:K,s:K,s:I,s:N,s:I,s:I,s:I,s:K,s:K,s:[KKKKK],s:K,s:K,"
		"s:N}",
		"address", ULL(mm->address), "pgd_phys", ULL(mm->pgd_phys),
		"task", ULL(mm->task), "pid", mm->pid, "comm",
		PyUnicode_DecodeLatin1(mm->comm,
				       (Py_ssize_t)strnlen(mm->comm, 16), NULL),
		"mm_users", mm->mm_users, "mm_count", mm->mm_count, "mm_id",
		mm->mm_id, "pgtables_bytes", ULL(mm->pgtables_bytes),
		"tables_bytes", ULL(pa_mm_tables_bytes(of)), "tables",
		ULL(of->tables[0]), ULL(of->tables[1]), ULL(of->tables[2]),
		ULL(of->tables[3]), ULL(of->tables[4]), "deposited",
		ULL(of->deposited), "unreadable", ULL(of->unreadable),
		"entries", entry_counts(of));
}

PyObject *pa_py_mms(const struct pa_census *census)
{
	const struct pa_page_tables *tables = census->page_tables;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && tables && i < tables->mms.list.length; i++)
		if (!pa_py_append(list, mm_dict(&tables->mms.list.items[i],
						&tables->of[i])))
			Py_CLEAR(list);
	return list;
}

PyObject *pa_py_mm_ids(const struct pa_census *census)
{
	const struct pa_page_tables *tables = census->page_tables;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && tables && i < tables->mm_ids.list.length;
	     i++) {
		const struct pa_mm_id_folio *f = &tables->mm_ids.list.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue("{s:K,s:I,s:O,s:(II),s:(LL),s:(II),"
					  "s:I}",
					  "pfn", ULL(f->pfn), "order", f->order,
					  "shared",
					  f->shared ? Py_True : Py_False, "id",
					  f->id[0], f->id[1], "stored",
					  (long long)f->stored[0],
					  (long long)f->stored[1], "counted",
					  f->counted[0], f->counted[1],
					  "others", f->others)))
			Py_CLEAR(list);
	}
	return list;
}

PyObject *pa_py_page_tables(const struct pa_census *census)
{
	const struct pa_page_tables *tables = census->page_tables;

	if (!tables)
		return PyDict_New();
	return Py_BuildValue("{s:i,s:[KKKKK],s:K}", "nr_swap_types",
			     tables->format.nr_swap_types, "tables",
			     ULL(tables->tables[0]), ULL(tables->tables[1]),
			     ULL(tables->tables[2]), ULL(tables->tables[3]),
			     ULL(tables->tables[4]), "deposited",
			     ULL(tables->deposited));
}
