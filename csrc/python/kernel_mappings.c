// SPDX-License-Identifier: LGPL-2.1-or-later
/* Of Kernel.census(): the page cache, mapping by mapping. */
#include "python/kernel_type.h"

#include "census/page_cache.h"

#define ULL(x) ((unsigned long long)(x))

PyObject *pa_py_mappings(const struct pa_census *census)
{
	const struct pa_page_cache *cache = census->page_cache;
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && cache && i < cache->mappings.length; i++) {
		const struct pa_cached_mapping *mapping =
			&cache->mappings.items[i];

		if (!pa_py_append(
			    list,
			    Py_BuildValue(
				    "{s:K,s:K,s:K,s:K,s:K,s:N,s:N,s:K}",
				    "address", ULL(mapping->address), "host",
				    ULL(mapping->host), "nrpages",
				    ULL(mapping->nrpages), "counted",
				    ULL(mapping->counted), "values",
				    ULL(mapping->values), "dax",
				    PyBool_FromLong(mapping->dax), "unlisted",
				    PyBool_FromLong(mapping->unlisted),
				    "unreadable", ULL(mapping->unreadable))))
			Py_CLEAR(list);
	}
	return list;
}
