/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory cgroups: include/linux/memcontrol.h, kernel/cgroup/cgroup.c. */
#ifndef PA_KERNEL_MEMCG_H
#define PA_KERNEL_MEMCG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "kernel/memory.h"

struct pa_memcg {
	/* Virtual address of the struct mem_cgroup. */
	uint64_t address;
	/* Index of the parent in the list; its own for the root. */
	size_t parent;
	/* CSS_ONLINE: a removed cgroup lives on while pages are charged to it. */
	bool online;
};

/* Read-only after init. */
struct pa_memcgs {
	/* !mem_cgroup_disabled() */
	bool enabled;
	/* All of them, offline ones too; parents before their children. */
	PA_ARRAY(struct pa_memcg) list;
	/* The same, sorted by address: indices in @list. Owned. */
	uint32_t *by_address;
	/* Lists of children that could not be followed to their end. */
	uint64_t unreadable;
	uint64_t corrupt;
};

struct pa_error *pa_memcgs_init(struct pa_memory *memory,
				const struct pa_layout *layout,
				struct pa_memcgs *ret);
void pa_memcgs_deinit(struct pa_memcgs *memcgs);

/* NULL if there is none at @address. Borrowed. */
const struct pa_memcg *pa_memcg_find(const struct pa_memcgs *memcgs,
				     uint64_t address);

/*
 * "/user.slice/a.scope", cut at its start if it is longer; "/" for the root,
 * "?" for what cannot be read.
 */
void pa_memcg_path(struct pa_memory *memory, const struct pa_layout *layout,
		   const struct pa_memcgs *memcgs, const struct pa_memcg *memcg,
		   char *buffer, size_t size);

/* Address of memcg->nodeinfo[node], a struct mem_cgroup_per_node; 0 if none. */
struct pa_error *pa_memcg_node(struct pa_memory *memory,
			       const struct pa_layout *layout,
			       const struct pa_memcg *memcg, uint32_t node,
			       uint64_t *ret);

#endif
