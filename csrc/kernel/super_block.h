/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Super blocks and the inodes on their lists: fs/super.c, fs/inode.c. */
#ifndef PA_KERNEL_SUPER_BLOCK_H
#define PA_KERNEL_SUPER_BLOCK_H

#include "kernel/mapping.h"

struct pa_inode {
	/* Virtual addresses: of the inode, and of its super block. */
	uint64_t address, sb;
	/* i_mapping: mostly, but not always, the inode's own. */
	uint64_t i_mapping;
	/* Its own: i_data. */
	struct pa_mapping data;
};

/* False stops the walk. */
typedef bool (*pa_inode_fn)(void *arg, const struct pa_inode *inode);

struct pa_inodes_result {
	uint64_t super_blocks, inodes;
	/* Lists that break off, and inodes that could not be read. */
	uint64_t unreadable;
};

/*
 * Visits the inodes of all super blocks, those of the kernel's own mounts too.
 * Not on any list are inodes that are being evicted (inode_sb_list_del()) and
 * those that never were (new_inode_pseudo()). Where a list is broken, one may
 * be visited twice.
 */
struct pa_error *pa_inodes_visit(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 pa_inode_fn visit, void *arg,
				 struct pa_inodes_result *ret);

#endif
