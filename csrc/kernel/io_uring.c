// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/io_uring.h"

#include "kernel/io_uring_ctx.h"
#include "kernel/list.h"
#include "kernel/page_array.h"
#include "kernel/xarray.h"

#define MAX_REGION_BYTES 64
#define MAX_GROUP_BYTES 128
#define MAX_AREA_BYTES 1024
/* IORING_SETUP_NO_MMAP of the user's headers: the rings are user memory. */
#define SETUP_NO_MMAP (1u << 14)
/* BGID_ARRAY: how many io_buffer_lists io_bl has. */
#define NR_LOW_GROUPS 64
#define MAX_LIST PA_BIT(20)

bool pa_io_uring_knows(const struct pa_layout *layout)
{
	bool buffers = (PA_HAS(layout, io_ring_ctx, user_bufs) &&
			PA_HAS(layout, io_ring_ctx, nr_user_bufs)) ||
		       (PA_HAS(layout, io_ring_ctx, buf_table__nr) &&
			PA_HAS(layout, io_ring_ctx, buf_table__nodes) &&
			PA_HAS(layout, io_rsrc_node, buf));
	bool region = !PA_HAS_TYPE(layout, io_mapped_region) ||
		      (PA_HAS(layout, io_mapped_region, pages) &&
		       PA_HAS(layout, io_mapped_region, nr_pages) &&
		       PA_SIZEOF(layout, io_mapped_region) <= MAX_REGION_BYTES);

	return buffers && region && PA_HAS(layout, io_ring_ctx, flags) &&
	       PA_HAS(layout, io_ring_ctx, rings) &&
	       PA_HAS(layout, io_ring_ctx, sq_sqes) &&
	       PA_HAS(layout, io_mapped_ubuf, nr_bvecs) &&
	       PA_HAS(layout, io_mapped_ubuf, bvec) &&
	       PA_HAS(layout, bio_vec, bv_page) &&
	       PA_SIZEOF(layout, io_ring_ctx) <= PA_MAX_IO_RING_CTX_BYTES &&
	       PA_SIZEOF(layout, io_mapped_ubuf) <= PA_MAX_IO_UBUF_BYTES &&
	       PA_SIZEOF(layout, bio_vec) <= PA_MAX_BIO_VEC_BYTES &&
	       PA_SIZEOF(layout, bio_vec);
}

/* Arrays of pages of one kind. */
struct pages {
	struct pa_io_uring_walk *walk;
	enum pa_io_uring_hold hold;
	uint64_t start, end;
};

static bool visit_array(void *arg, uint64_t index, uint64_t slot, uint64_t page)
{
	struct pages *pages = arg;
	const struct pa_io_uring_page told = {
		.hold = pages->hold,
		.page = page,
		.slot = slot,
		.start = pages->start,
		.end = pages->end,
		.index = index,
	};

	pa_io_uring_tell(pages->walk, &told);
	return !pages->walk->stopped;
}

static struct pa_error *visit_pages(struct pa_io_uring_walk *walk,
				    uint64_t array, uint64_t nr,
				    enum pa_io_uring_hold hold)
{
	struct pages pages = { walk, hold, array, array + nr * 8 };

	if (!array || !nr)
		return NULL;
	return pa_page_array_visit(walk->memory, array, nr, visit_array,
				   &pages);
}

/* The rings, and rings of provided buffers. */

/* struct io_mapped_region: io_free_region(), v6.14. */
static struct pa_error *visit_region(struct pa_io_uring_walk *walk,
				     const uint8_t *region)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint64_t array = PA_GET(layout, region, io_mapped_region, pages);
	uint64_t nr = PA_GET(layout, region, io_mapped_region, nr_pages);
	uint64_t flags;

	if (!array || !nr)
		return NULL;
	if (!PA_HAS(layout, io_mapped_region, flags) ||
	    !PA_HAS_ENUM(layout, IO_REGION_F_USER_PROVIDED) ||
	    !PA_HAS_ENUM(layout, IO_REGION_F_SINGLE_REF)) {
		walk->unreadable++;
		return NULL;
	}
	flags = PA_GET(layout, region, io_mapped_region, flags);
	if (flags & (uint64_t)PA_ENUM(layout, IO_REGION_F_SINGLE_REF))
		nr = 1;
	return visit_pages(
		walk, array, nr,
		flags & (uint64_t)PA_ENUM(layout, IO_REGION_F_USER_PROVIDED) ?
			PA_IO_URING_PINNED :
			PA_IO_URING_OWNED);
}

static struct pa_error *visit_region_at(struct pa_io_uring_walk *walk,
					uint64_t address)
{
	uint8_t bytes[MAX_REGION_BYTES];
	uint32_t size = PA_SIZEOF(walk->kernel->layout, io_mapped_region);
	struct pa_error *err;

	err = pa_memory_read(walk->memory, address, size, bytes);
	return err ? err : visit_region(walk, bytes);
}

/* io_pages_map(): one compound allocation, or single pages if there was none. */
static struct pa_error *visit_allocated(struct pa_io_uring_walk *walk,
					uint64_t array, uint64_t nr)
{
	const struct pa_page_format *format = &walk->kernel->page_format;
	uint64_t first, pfn;
	const uint8_t *page;
	struct pa_error *err;

	if (!array || !nr)
		return NULL;
	err = pa_memory_read_u64(walk->memory, array, &first);
	if (err)
		return err;
	if (nr > 1 && pa_page_to_pfn(walk->kernel, first, &pfn)) {
		err = pa_memmap_page(walk->memmap, pfn, 1, &page);
		if (err)
			return err;
		if (pa_page_flags(format, page) & format->flag.head)
			nr = 1;
	}
	return visit_pages(walk, array, nr, PA_IO_URING_OWNED);
}

/* Memory of the direct map, by __get_free_pages(): io_mem_alloc(). */
static struct pa_error *visit_direct(struct pa_io_uring_walk *walk,
				     uint64_t address, uint64_t slot)
{
	const struct pa_address_space *space = &walk->kernel->space;
	struct pa_io_uring_page page = {
		.hold = PA_IO_URING_OWNED,
		.slot = slot,
	};

	if (address < space->direct_start || address >= space->direct_end)
		return NULL;
	page.page =
		pa_pfn_to_page(walk->kernel, (address - space->direct_start) >>
						     space->page_shift);
	pa_io_uring_tell(walk, &page);
	return NULL;
}

static struct pa_error *visit_rings(struct pa_io_ring *ring)
{
	struct pa_io_uring_walk *walk = ring->walk;
	bool user = PA_RING_GET(ring, flags) & SETUP_NO_MMAP;
	uint64_t nr_ring = 0, nr_sqe = 0;
	struct pa_error *err;

	if (PA_RING_HAS(ring, ring_region)) {
		err = pa_io_uring_forgive(
			walk,
			visit_region_at(walk,
					PA_RING_ADDRESS(ring, ring_region)));
		if (!err && PA_RING_HAS(ring, sq_region))
			err = pa_io_uring_forgive(
				walk,
				visit_region_at(walk,
						PA_RING_ADDRESS(ring,
								sq_region)));
		return err;
	}
	if (PA_RING_HAS(ring, n_ring_pages) && PA_RING_HAS(ring, n_sqe_pages) &&
	    PA_RING_HAS(ring, ring_pages) && PA_RING_HAS(ring, sqe_pages)) {
		nr_ring = PA_RING_GET(ring, n_ring_pages);
		nr_sqe = PA_RING_GET(ring, n_sqe_pages);
	}
	if (nr_ring)
		err = user ? visit_pages(walk, PA_RING_GET(ring, ring_pages),
					 nr_ring, PA_IO_URING_PINNED) :
			     visit_allocated(walk,
					     PA_RING_GET(ring, ring_pages),
					     nr_ring);
	else
		err = visit_direct(walk, PA_RING_GET(ring, rings),
				   PA_RING_ADDRESS(ring, rings));
	err = pa_io_uring_forgive(walk, err);
	if (err)
		return err;
	if (nr_sqe)
		err = user ? visit_pages(walk, PA_RING_GET(ring, sqe_pages),
					 nr_sqe, PA_IO_URING_PINNED) :
			     visit_allocated(walk, PA_RING_GET(ring, sqe_pages),
					     nr_sqe);
	else
		err = visit_direct(walk, PA_RING_GET(ring, sq_sqes),
				   PA_RING_ADDRESS(ring, sq_sqes));
	return pa_io_uring_forgive(walk, err);
}

/* The ring of provided buffers of the io_buffer_list at @list, if it has one. */
static struct pa_error *visit_group(struct pa_io_uring_walk *walk,
				    uint64_t list)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint8_t bytes[MAX_GROUP_BYTES + MAX_REGION_BYTES];
	uint64_t array, nr, flags = 0;
	struct pa_error *err;

	if (PA_SIZEOF(layout, io_buffer_list) > MAX_GROUP_BYTES)
		return NULL;
	err = pa_memory_read(walk->memory, list,
			     PA_SIZEOF(layout, io_buffer_list), bytes);
	if (err)
		return err;
	if (PA_HAS(layout, io_buffer_list, flags))
		flags = PA_GET(layout, bytes, io_buffer_list, flags);
	/* The list of classic buffers lies where the ring's pages do. */
	if (PA_HAS_ENUM(layout, IOBL_BUF_RING) &&
	    !(flags & (uint64_t)PA_ENUM(layout, IOBL_BUF_RING)))
		return NULL;
	if (PA_HAS(layout, io_buffer_list, region))
		return visit_region(walk,
				    bytes + PA_OFFSETOF(layout, io_buffer_list,
							region));
	if (!PA_HAS(layout, io_buffer_list, buf_pages) ||
	    !PA_HAS(layout, io_buffer_list, buf_nr_pages))
		return NULL;
	array = PA_GET(layout, bytes, io_buffer_list, buf_pages);
	nr = PA_GET(layout, bytes, io_buffer_list, buf_nr_pages);
	if (!nr)
		return NULL;
	if (PA_HAS_ENUM(layout, IOBL_MMAP) &&
	    flags & (uint64_t)PA_ENUM(layout, IOBL_MMAP))
		return visit_allocated(walk, array, nr);
	return visit_pages(walk, array, nr, PA_IO_URING_PINNED);
}

/* What an xarray has. */
struct found {
	PA_ARRAY(uint64_t) list;
	bool failed;
};

static bool find_entry(void *arg, const struct pa_xarray_entry *entry)
{
	struct found *found = arg;

	if (found->list.length >= PA_MAX_IO_BUFFERS ||
	    !pa_is_kernel_address(entry->entry))
		return true;
	found->failed = !pa_array_append(&found->list, entry->entry);
	return !found->failed;
}

/* Calls @visit with each pointer that the xarray at @xarray has. */
static struct pa_error *
visit_xarray(struct pa_io_uring_walk *walk, uint64_t xarray,
	     struct pa_error *(*visit)(struct pa_io_uring_walk *walk,
				       uint64_t address))
{
	struct found found = { 0 };
	struct pa_xarray_result result = { 0 };
	struct pa_error *err = pa_xarray_walk(walk->memory,
					      walk->kernel->layout, xarray,
					      find_entry, &found, &result);

	if (!err && found.failed)
		err = &pa_error_no_memory;
	walk->unreadable += result.unreadable + result.corrupt;
	for (size_t i = 0; !err && !walk->stopped && i < found.list.length; i++)
		err = pa_io_uring_forgive(walk,
					  visit(walk, found.list.items[i]));
	pa_array_deinit(&found.list);
	return err;
}

static struct pa_error *visit_groups(struct pa_io_ring *ring)
{
	struct pa_io_uring_walk *walk = ring->walk;
	uint64_t low = PA_RING_HAS(ring, io_bl) ? PA_RING_GET(ring, io_bl) : 0;
	uint64_t size = PA_SIZEOF(walk->kernel->layout, io_buffer_list);
	struct pa_error *err = NULL;

	for (unsigned int i = 0; low && !err && i < NR_LOW_GROUPS; i++)
		err = pa_io_uring_forgive(walk,
					  visit_group(walk, low + i * size));
	if (!err && PA_RING_HAS(ring, io_bl_xa))
		err = visit_xarray(walk, PA_RING_ADDRESS(ring, io_bl_xa),
				   visit_group);
	return err;
}

static bool visit_buffer_page(void *arg, uint64_t node)
{
	struct pa_io_uring_walk *walk = arg;
	const struct pa_io_uring_page page = {
		.hold = PA_IO_URING_OWNED,
		.page = node - walk->kernel->page_format.lru,
	};

	pa_io_uring_tell(walk, &page);
	return !walk->stopped;
}

/* Pages with struct io_buffers: io_refill_buffer_cache(), v5.18 to v6.9. */
static struct pa_error *visit_buffer_pages(struct pa_io_ring *ring)
{
	struct pa_io_uring_walk *walk = ring->walk;
	struct pa_list_result result;
	struct pa_error *err;

	if (!PA_RING_HAS(ring, io_buffers_pages))
		return NULL;
	err = pa_list_walk(walk->memory,
			   PA_RING_ADDRESS(ring, io_buffers_pages), MAX_LIST,
			   visit_buffer_page, walk, &result);
	if (!err && result.end != PA_LIST_WHOLE &&
	    result.end != PA_LIST_STOPPED)
		walk->unreadable++;
	return err;
}

/* Zero-copy receive: a struct io_zcrx_ifq, which rings can share. */
static struct pa_error *visit_zcrx(struct pa_io_uring_walk *walk, uint64_t ifq)
{
	const struct pa_layout *layout = walk->kernel->layout;
	uint8_t bytes[MAX_AREA_BYTES];
	uint64_t area;
	struct pa_error *err = NULL;

	if (pa_map_has(&walk->met, ifq))
		return NULL;
	if (!pa_map_set(&walk->met, ifq, 0))
		return &pa_error_no_memory;
	if (PA_HAS(layout, io_zcrx_ifq, rq_region))
		err = pa_io_uring_forgive(
			walk,
			visit_region_at(walk,
					ifq + PA_OFFSETOF(layout, io_zcrx_ifq,
							  rq_region)));
	if (!err)
		err = pa_memory_read_u64(
			walk->memory,
			ifq + PA_OFFSETOF(layout, io_zcrx_ifq, area), &area);
	if (err || !area)
		return err;
	err = pa_memory_read(walk->memory, area,
			     PA_SIZEOF(layout, io_zcrx_area), bytes);
	if (err || PA_GET(layout, bytes, io_zcrx_area, mem__is_dmabuf))
		return err;
	return visit_pages(walk,
			   PA_GET(layout, bytes, io_zcrx_area, mem__pages),
			   PA_GET(layout, bytes, io_zcrx_area, mem__nr_folios),
			   PA_IO_URING_PINNED);
}

static struct pa_error *visit_unknown_zcrx(struct pa_io_uring_walk *walk,
					   uint64_t address)
{
	(void)address;
	walk->unreadable++;
	return NULL;
}

static struct pa_error *visit_zcrxs(struct pa_io_ring *ring)
{
	const struct pa_layout *layout = ring->walk->kernel->layout;

	if (!PA_RING_HAS(ring, zcrx_ctxs))
		return NULL;
	if (!PA_HAS(layout, io_zcrx_ifq, area) ||
	    !PA_HAS(layout, io_zcrx_area, mem__pages) ||
	    !PA_HAS(layout, io_zcrx_area, mem__nr_folios) ||
	    !PA_HAS(layout, io_zcrx_area, mem__is_dmabuf) ||
	    PA_SIZEOF(layout, io_zcrx_area) > MAX_AREA_BYTES) {
		/* CONFIG_IO_URING_ZCRX: the array is there without, too. */
		return visit_xarray(ring->walk,
				    PA_RING_ADDRESS(ring, zcrx_ctxs),
				    visit_unknown_zcrx);
	}
	return visit_xarray(ring->walk, PA_RING_ADDRESS(ring, zcrx_ctxs),
			    visit_zcrx);
}

static struct pa_error *visit_param(struct pa_io_ring *ring)
{
	if (!PA_RING_HAS(ring, param_region))
		return NULL;
	return visit_region_at(ring->walk, PA_RING_ADDRESS(ring, param_region));
}

struct pa_error *pa_io_uring_visit(struct pa_io_uring_walk *walk, uint64_t ctx)
{
	static struct pa_error *(*const parts[])(struct pa_io_ring * ring) = {
		pa_io_uring_buffers, pa_io_uring_retired, visit_rings,
		visit_groups,	     visit_buffer_pages,  visit_zcrxs,
		visit_param,
	};
	struct pa_io_ring ring = { .walk = walk, .address = ctx };
	struct pa_error *err = pa_memory_read(
		walk->memory, ctx, PA_SIZEOF(walk->kernel->layout, io_ring_ctx),
		ring.bytes);

	for (size_t i = 0;
	     !err && !walk->stopped && i < sizeof(parts) / sizeof(parts[0]);
	     i++)
		err = pa_io_uring_forgive(walk, parts[i](&ring));
	return err;
}

void pa_io_uring_walk_deinit(struct pa_io_uring_walk *walk)
{
	pa_map_deinit(&walk->met);
}
