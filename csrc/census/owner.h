/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the owners of references are, for people: tasks, and files. */
#ifndef PA_CENSUS_OWNER_H
#define PA_CENSUS_OWNER_H

#include "base/map.h"
#include "census/holder.h"
#include "kernel/inode_name.h"
#include "kernel/vma.h"

enum pa_owner_kind {
	/* All that is known of it is its address. */
	PA_OWNER_OTHER,
	PA_OWNER_MM,
	/* An address_space, by its host. */
	PA_OWNER_INODE,
};

/* A VMA that references of an mm lie in. */
struct pa_owner_vma {
	struct pa_vma vma;
	/* If it is of a file. */
	struct pa_inode_name file;
};

struct pa_owner {
	/* As struct pa_reference has it. */
	uint64_t address;
	enum pa_owner_kind kind;
	/* Of an mm: a task that uses it; 0: none does. */
	uint64_t task;
	uint32_t pid;
	char comm[16];
	/* By address, each once. */
	PA_ARRAY(struct pa_owner_vma) vmas;
	/* Of an inode. */
	uint64_t inode;
	struct pa_inode_name name;
};

struct pa_owners {
	PA_ARRAY(struct pa_owner) list;
	/* By address: index in @list. */
	struct pa_map index;
};

/*
 * The owners of @references, each once. @ret is zeroed before, and the
 * caller's to deinit in any case; what can't be read of them is left empty.
 */
struct pa_error *pa_owners_find(const struct pa_census *census,
				const struct pa_references *references,
				struct pa_owners *ret);
void pa_owners_deinit(struct pa_owners *owners);

#endif
