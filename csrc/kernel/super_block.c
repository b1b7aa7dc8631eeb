// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/super_block.h"

#include "kernel/list.h"

#define MAX_INODE_BYTES 4096
/* More than any machine has; lists of either kind can't be circles. */
#define MAX_SUPER_BLOCKS PA_BIT(24)
#define MAX_INODES PA_BIT(32)

struct walk {
	struct pa_memory *memory;
	const struct pa_layout *layout;
	pa_inode_fn visit;
	void *arg;
	struct pa_inodes_result result;
	/* The super block whose inodes are being visited. */
	uint64_t sb;
	bool stopped;
	struct pa_error *err;
};

/*
 * A whole list: where it breaks, the rest is visited from its end. The list's
 * visitor returns false only for walk->stopped or walk->err.
 */
static void walk_list(struct walk *walk, uint64_t head, uint64_t limit,
		      pa_list_visit_fn visit)
{
	struct pa_list_result result;
	struct pa_error *err =
		pa_list_walk(walk->memory, head, limit, visit, walk, &result);

	if (!err && result.end != PA_LIST_WHOLE &&
	    result.end != PA_LIST_STOPPED) {
		walk->result.unreadable++;
		err = pa_list_walk_back(walk->memory, head, limit, visit, walk,
					&result);
	}
	if (!walk->err)
		walk->err = err;
	else
		pa_error_destroy(err);
}

static bool visit_inode(void *arg, uint64_t node)
{
	struct walk *walk = arg;
	const struct pa_layout *layout = walk->layout;
	uint64_t address = node - PA_OFFSETOF(layout, inode, i_sb_list);
	uint32_t data = PA_OFFSETOF(layout, inode, i_data);
	uint8_t bytes[MAX_INODE_BYTES];
	struct pa_error *err = pa_memory_read(walk->memory, address,
					      PA_SIZEOF(layout, inode), bytes);

	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->result.unreadable++;
		return true;
	}
	walk->err = err;
	if (err)
		return false;

	struct pa_inode inode = {
		.address = address,
		.sb = PA_GET(layout, bytes, inode, i_sb),
		.i_mapping = PA_GET(layout, bytes, inode, i_mapping),
	};

	/* Not an inode, or one of another list. */
	if (inode.sb != walk->sb) {
		walk->result.unreadable++;
		return true;
	}
	pa_mapping_load(layout, bytes + data, address + data, &inode.data);
	walk->result.inodes++;
	walk->stopped = !walk->visit(walk->arg, &inode);
	return !walk->stopped;
}

static bool visit_super_block(void *arg, uint64_t node)
{
	struct walk *walk = arg;

	walk->sb = node - PA_OFFSETOF(walk->layout, super_block, s_list);
	walk->result.super_blocks++;
	walk_list(walk,
		  walk->sb + PA_OFFSETOF(walk->layout, super_block, s_inodes),
		  MAX_INODES, visit_inode);
	return !walk->err && !walk->stopped;
}

struct pa_error *pa_inodes_visit(struct pa_memory *memory,
				 const struct pa_layout *layout,
				 pa_inode_fn visit, void *arg,
				 struct pa_inodes_result *ret)
{
	struct walk walk = {
		.memory = memory,
		.layout = layout,
		.visit = visit,
		.arg = arg,
	};
	struct pa_error *err = pa_mapping_check(layout);

	if (err)
		return err;
	if (!PA_HAS_SYM(layout, super_blocks) ||
	    PA_SIZEOF(layout, inode) > MAX_INODE_BYTES ||
	    PA_OFFSETOF(layout, inode, i_data) +
			    PA_SIZEOF(layout, address_space) >
		    PA_SIZEOF(layout, inode))
		return pa_error_create(PA_ERROR_MISSING,
				       "the list of super blocks, or struct "
				       "inode, is not usable");
	walk_list(&walk, PA_SYM(layout, super_blocks), MAX_SUPER_BLOCKS,
		  visit_super_block);
	if (walk.err)
		return walk.err;
	*ret = walk.result;
	return NULL;
}
