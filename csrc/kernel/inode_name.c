// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/inode_name.h"

/* Of one component; NAME_MAX is 255. */
#define MAX_NAME 256
/* Directories deep; a loop of parents ends there. */
#define MAX_DEPTH 64

/* *@ok is false, and the rest is left, where the target lacks something. */
static struct pa_error *try(struct pa_error *err, bool *ok)
{
	if (!pa_error_is_target(err))
		return err;
	pa_error_destroy(err);
	*ok = false;
	return NULL;
}

/* Puts "/name" in front of what @path has from *@at on. */
static bool prepend(char *path, size_t *at, const char *name)
{
	size_t length = strlen(name);

	if (length + 1 > *at)
		return false;
	*at -= length;
	memcpy(path + *at, name, length);
	path[--*at] = '/';
	return true;
}

/* The path of @dentry, ending at the end of @path. */
static struct pa_error *read_path(const struct pa_layout *layout,
				  struct pa_memory *memory, uint64_t dentry,
				  char *path, size_t *at)
{
	char name[MAX_NAME];
	bool ok = true;

	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		uint64_t parent = 0, text = 0;
		struct pa_error *err = pa_memory_read_u64(
			memory, dentry + PA_OFFSETOF(layout, dentry, d_parent),
			&parent);

		if (!err && parent == dentry)
			return NULL;
		if (!err)
			err = pa_memory_read_u64(
				memory,
				dentry + PA_OFFSETOF(layout, dentry,
						     d_name__name),
				&text);
		if (!err)
			err = pa_memory_read_string(memory, text, name,
						    sizeof(name));
		err = try(err, &ok);
		if (err || !ok || !prepend(path, at, name))
			return err;
		dentry = parent;
	}
	return NULL;
}

/* d_find_any_alias() */
static struct pa_error *find_dentry(const struct pa_layout *layout,
				    struct pa_memory *memory, uint64_t inode,
				    uint64_t *ret)
{
	const struct pa_member *alias =
		PA_HAS(layout, dentry, d_alias) ?
			PA_M(layout, dentry, d_alias) :
			PA_M(layout, dentry, d_u__d_alias);
	uint64_t node, owner = 0;
	bool ok = true;
	struct pa_error *err = try(
		pa_memory_read_u64(memory,
				   inode + PA_OFFSETOF(layout, inode, i_dentry),
				   &node),
		&ok);

	*ret = 0;
	if (err || !ok || !node)
		return err;

	uint64_t dentry = node - alias->offset;

	/* Of an inode that is being freed i_dentry is something else. */
	err = try(pa_memory_read_u64(
			  memory, dentry + PA_OFFSETOF(layout, dentry, d_inode),
			  &owner),
		  &ok);
	if (!err && ok && owner == inode)
		*ret = dentry;
	return err;
}

static struct pa_error *read_super_block(const struct pa_layout *layout,
					 struct pa_memory *memory,
					 uint64_t inode,
					 struct pa_inode_name *ret)
{
	uint64_t sb, type, name;
	bool ok = true;
	struct pa_error *err = pa_memory_read_u64(
		memory, inode + PA_OFFSETOF(layout, inode, i_sb), &sb);

	if (!err)
		err = pa_memory_read_string(
			memory, sb + PA_OFFSETOF(layout, super_block, s_id),
			ret->id, sizeof(ret->id));
	if (!err)
		err = pa_memory_read_u64(
			memory, sb + PA_OFFSETOF(layout, super_block, s_type),
			&type);
	if (!err)
		err = pa_memory_read_u64(
			memory,
			type + PA_OFFSETOF(layout, file_system_type, name),
			&name);
	if (!err)
		err = pa_memory_read_string(memory, name, ret->type,
					    sizeof(ret->type));
	return try(err, &ok);
}

struct pa_error *pa_inode_name_read(const struct pa_kernel *kernel,
				    struct pa_memory *memory, uint64_t inode,
				    struct pa_inode_name *ret)
{
	const struct pa_layout *layout = kernel->layout;
	struct pa_inode_name about = { 0 };
	char path[sizeof(about.path)] = { 0 };
	size_t at = sizeof(path) - 1;
	uint64_t dentry = 0;
	bool ok = true;
	struct pa_error *err = NULL;

	if (PA_HAS(layout, inode, i_ino))
		err = try(pa_memory_read_u64(memory,
					     inode + PA_OFFSETOF(layout, inode,
								 i_ino),
					     &about.ino),
			  &ok);
	if (!err && PA_HAS(layout, super_block, s_id) &&
	    PA_HAS(layout, super_block, s_type) &&
	    PA_HAS(layout, file_system_type, name))
		err = read_super_block(layout, memory, inode, &about);
	if (!err && PA_HAS(layout, inode, i_dentry) &&
	    (PA_HAS(layout, dentry, d_alias) ||
	     PA_HAS(layout, dentry, d_u__d_alias)) &&
	    PA_HAS(layout, dentry, d_inode) &&
	    PA_HAS(layout, dentry, d_parent) &&
	    PA_HAS(layout, dentry, d_name__name))
		err = find_dentry(layout, memory, inode, &dentry);
	if (!err && dentry)
		err = read_path(layout, memory, dentry, path, &at);
	if (err)
		return err;
	memcpy(about.path, path + at, sizeof(path) - at);
	*ret = about;
	return NULL;
}
