// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel.audit(): findings, what each check came to, and how much was read. */
#include "python/kernel_type.h"

#include "census/counts.h"
#include "census/holder.h"
#include "census/picture.h"
#include "checks/audit.h"
#include "python/watch.h"

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
	     pa_py_set(dict, "pfn", pa_py_pfn(finding->pfn)) &&
	     pa_py_set(dict, "pfn_end", pa_py_pfn(finding->pfn_end)) &&
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

static PyObject *disturbed_bytes(const struct pa_disturbed *disturbed)
{
	return PyBytes_FromStringAndSize(
		(const char *)disturbed->keys.items,
		(Py_ssize_t)(disturbed->keys.length * 8));
}

/* What the next audit of a running kernel is to know of this one. */
static PyObject *earlier_tuple(const struct pa_census *census)
{
	PyObject *unreadable = PyTuple_New(PA_NR_HOLDERS);

	for (int i = 0; unreadable && i < PA_NR_HOLDERS; i++) {
		uint64_t nr = census->holders ? census->holders[i].unreadable :
						0;
		PyObject *item = PyLong_FromUnsignedLongLong(nr);

		if (item)
			PyTuple_SET_ITEM(unreadable, i, item);
		else
			Py_CLEAR(unreadable);
	}
	return unreadable ? Py_BuildValue("(NNN)",
					  disturbed_bytes(&census->disturbed),
					  unreadable,
					  disturbed_bytes(&census->unread)) :
			    NULL;
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
	     pa_py_set(dict, "earlier", earlier_tuple(audit->census));
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
	/* See pa_census_create(). */
	const struct pa_earlier *earlier;
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
					    call->earlier, call->job,
					    &call->audit);

	if (!err && call->picture)
		err = pa_picture_create(call->audit->census, call->job,
					&call->drawn);
	return err;
}

/* False with an exception. */
static bool copy_disturbed(const char *bytes, Py_ssize_t length,
			   struct pa_disturbed *ret)
{
	for (Py_ssize_t i = 0; i < length; i += 8)
		if (!pa_disturbed_add(ret, pa_load_u64(bytes + i))) {
			PyErr_NoMemory();
			return false;
		}
	pa_disturbed_settle(ret);
	return true;
}

/* What "earlier" of the last audit was, or () before the first. */
static bool copy_earlier(PyObject *tuple, struct pa_earlier *ret)
{
	Py_ssize_t length, unread_length;
	PyObject *unreadable;
	char *pfns, *unread;

	if (!PyTuple_Check(tuple)) {
		PyErr_SetString(PyExc_TypeError, "earlier must be a tuple");
		return false;
	}
	ret->none = !PyTuple_GET_SIZE(tuple);
	if (ret->none)
		return true;
	if (!PyArg_ParseTuple(tuple, "y#O!y#", &pfns, &length, &PyTuple_Type,
			      &unreadable, &unread, &unread_length))
		return false;
	if (length % 8 || unread_length % 8 ||
	    PyTuple_GET_SIZE(unreadable) != PA_NR_HOLDERS) {
		PyErr_SetString(PyExc_ValueError,
				"earlier is not that of an audit");
		return false;
	}
	if (!copy_disturbed(pfns, length, &ret->disturbed) ||
	    !copy_disturbed(unread, unread_length, &ret->unread))
		return false;
	for (int i = 0; i < PA_NR_HOLDERS; i++) {
		PyObject *item = PyTuple_GET_ITEM(unreadable, i);

		ret->unreadable[i] = PyLong_AsUnsignedLongLong(item);
		if (PyErr_Occurred())
			return false;
	}
	return true;
}

PyObject *pa_py_audit(struct pa_module_state *state,
		      const struct pa_kernel *kernel, unsigned int threads,
		      PyObject *args, PyObject *kwds)
{
	static char *keywords[] = { "checks",  "progress", "max_cpu",
				    "picture", "earlier",  NULL };
	PyObject *names = Py_None, *progress = Py_None, *ret = NULL;
	bool selected[PA_NR_CHECKS] = { false };
	PyObject *tuple = Py_None;
	struct pa_earlier earlier = {};
	int max_cpu = 0, picture = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "|OO$ipO:audit", keywords,
					 &names, &progress, &max_cpu, &picture,
					 &tuple))
		return NULL;
	if (max_cpu < 0) {
		PyErr_SetString(PyExc_ValueError,
				"max_cpu must not be negative");
		return NULL;
	}

	struct pa_job job;
	struct audit_call call = {
		.kernel = kernel,
		.selected = names == Py_None ? NULL : selected,
		.earlier = tuple == Py_None ? NULL : &earlier,
		.job = &job,
		.picture = picture,
	};

	pa_job_init(&job, threads);
	job.max_cpu = (unsigned int)max_cpu;
	if ((names == Py_None || select_checks(names, selected)) &&
	    (tuple == Py_None || copy_earlier(tuple, &earlier)) &&
	    !pa_watch_run(state, audit_call_run, &call, &job, progress))
		ret = audit_dict(kernel, call.audit);
	if (ret && picture &&
	    !pa_py_set(ret, "picture", pa_py_picture(call.drawn)))
		Py_CLEAR(ret);
	pa_picture_destroy(call.drawn);
	pa_audit_destroy(call.audit);
	pa_disturbed_deinit(&earlier.disturbed);
	pa_disturbed_deinit(&earlier.unread);
	return ret;
}
