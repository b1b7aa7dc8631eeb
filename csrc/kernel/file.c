// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/file.h"

#define MAX_FILE_BYTES 1024

bool pa_open_file_knows(const struct pa_layout *layout,
			enum pa_open_file_kind kind)
{
	if (!PA_HAS(layout, file, f_op) || !PA_HAS(layout, file, f_inode) ||
	    !PA_HAS(layout, file, private_data) ||
	    PA_SIZEOF(layout, file) > MAX_FILE_BYTES)
		return false;
	switch (kind) {
	case PA_OPEN_PIPE:
		return PA_HAS_SYM(layout, pipefifo_fops) &&
		       PA_HAS(layout, inode, i_pipe);
	case PA_OPEN_IO_URING:
		return PA_HAS_SYM(layout, io_uring_fops);
	case PA_OPEN_AIO:
		return PA_HAS_SYM(layout, aio_ring_fops) &&
		       PA_HAS(layout, kioctx, aio_ring_file) &&
		       (PA_HAS(layout, address_space, private_data) ||
			PA_HAS(layout, address_space, i_private_data) ||
			PA_HAS(layout, aio_inode_info, ctx));
	case PA_OPEN_SOCKET:
		return PA_HAS_SYM(layout, socket_file_ops) &&
		       PA_HAS(layout, socket, file);
	default:
		return false;
	}
}

static bool is_symbol(const struct pa_layout *layout, enum pa_symbol_id symbol,
		      uint64_t address)
{
	return layout->symbols[symbol].known &&
	       layout->symbols[symbol].address == address;
}

/* The kind of files with operations @f_op, or PA_NR_OPEN_FILE_KINDS. */
static enum pa_open_file_kind kind_of(const struct pa_layout *layout,
				      uint64_t f_op)
{
	static const struct {
		enum pa_symbol_id symbol;
		enum pa_open_file_kind kind;
	} operations[] = {
		{ PA_SYM_pipefifo_fops, PA_OPEN_PIPE },
		{ PA_SYM_pipeanon_fops, PA_OPEN_PIPE },
		{ PA_SYM_io_uring_fops, PA_OPEN_IO_URING },
		{ PA_SYM_aio_ring_fops, PA_OPEN_AIO },
		{ PA_SYM_socket_file_ops, PA_OPEN_SOCKET },
	};

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (is_symbol(layout, operations[i].symbol, f_op))
			return operations[i].kind;
	return PA_NR_OPEN_FILE_KINDS;
}

/*
 * The kioctx that the private file's inode names: aio_private_file(). It stops
 * naming it before the ring's pages are put (put_aio_ring_file()).
 */
static struct pa_error *read_aio_context(const struct pa_kernel *kernel,
					 struct pa_memory *memory,
					 uint64_t inode, uint64_t *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint64_t mapping;
	struct pa_error *err;

	if (PA_HAS(layout, aio_inode_info, ctx))
		return pa_memory_read_u64(
			memory,
			inode - PA_OFFSETOF(layout, aio_inode_info, vfs_inode) +
				PA_OFFSETOF(layout, aio_inode_info, ctx),
			ret);
	err = pa_memory_read_u64(memory,
				 inode + PA_OFFSETOF(layout, inode, i_mapping),
				 &mapping);
	if (err)
		return err;
	mapping += PA_HAS(layout, address_space, i_private_data) ?
			   PA_OFFSETOF(layout, address_space, i_private_data) :
			   PA_OFFSETOF(layout, address_space, private_data);
	return pa_memory_read_u64(memory, mapping, ret);
}

struct pa_error *pa_open_file_read(const struct pa_kernel *kernel,
				   struct pa_memory *memory, uint64_t address,
				   struct pa_open_file *ret)
{
	const struct pa_layout *layout = kernel->layout;
	uint8_t bytes[MAX_FILE_BYTES];
	struct pa_open_file file = { 0 };
	uint64_t inode, back = 0, wanted = 0;
	struct pa_error *err =
		pa_memory_read(memory, address, PA_SIZEOF(layout, file), bytes);

	if (err)
		return err;
	*ret = file;
	file.kind = kind_of(layout, PA_GET(layout, bytes, file, f_op));
	if (file.kind == PA_NR_OPEN_FILE_KINDS ||
	    !pa_open_file_knows(layout, file.kind))
		return NULL;
	file.object = PA_GET(layout, bytes, file, private_data);
	inode = PA_GET(layout, bytes, file, f_inode);
	switch (file.kind) {
	case PA_OPEN_PIPE:
		/* NULL from put_pipe_info()'s last on, the pipe is freed then. */
		err = pa_memory_read_u64(
			memory, inode + PA_OFFSETOF(layout, inode, i_pipe),
			&back);
		wanted = file.object;
		break;
	case PA_OPEN_AIO:
		err = read_aio_context(kernel, memory, inode, &file.object);
		if (err || !file.object)
			return err;
		err = pa_memory_read_u64(memory,
					 file.object +
						 PA_OFFSETOF(layout, kioctx,
							     aio_ring_file),
					 &back);
		wanted = address;
		break;
	case PA_OPEN_SOCKET:
		/* NULL from __sock_release() on. */
		if (file.object)
			err = pa_memory_read_u64(
				memory,
				file.object + PA_OFFSETOF(layout, socket, file),
				&back);
		wanted = address;
		break;
	default:
		/* io_uring_release() makes private_data NULL first of all. */
		break;
	}
	if (!err && back == wanted && pa_is_kernel_address(file.object))
		*ret = file;
	return err;
}
