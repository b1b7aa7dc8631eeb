// SPDX-License-Identifier: LGPL-2.1-or-later
/* Slabs of a made machine: which objects are allocated, sound and hostile. */
#include "census/slabs.h"
#include "check.h"
#include "machine.h"

/* Slabs of a tile, each of eight pages; memory only for those of the first. */
#define FIRST_SLAB 1792
#define SLAB_PAGES 8
#define NR_SLABS 16
#define MEMORY_PFN FIRST_SLAB
#define MEMORY_PAGES 256
/* KFENCE's pool: ordinary pages behind the slabs. */
#define POOL_PFN 1930
#define POOL_OBJECTS 3

#define DIRECT UINT64_C(0xffff888000000000)
#define SIZE 256
#define OBJECT_SIZE 200
#define OFFSET 96
#define RED_LEFT 64
#define NR_OBJECTS 120
#define RANDOM UINT64_C(0x1122334455667788)

/* Offsets of struct slab, kmem_cache, and the rest. */
enum {
	SLAB_CACHE = 16,
	SLAB_FREELIST = 32,
	SLAB_COUNTERS = 40,

	CACHE_SIZE = 0,
	CACHE_OBJECT_SIZE = 4,
	CACHE_OFFSET = 8,
	CACHE_RED_LEFT = 12,
	CACHE_NAME = 16,
	CACHE_RANDOM = 24,
	CACHE_CPU_SLAB = 32,
	CACHE_CPU_SHEAVES = 40,
	CACHE_PER_NODE = 48,
	CACHE_BYTES = 64,

	SHEAF_LIST = 0,
	SHEAF_SIZE = 16,
	SHEAF_OBJECTS = 24,
	SHEAF_BYTES = 64,

	METADATA_STATE = 0,
	METADATA_ADDR = 8,
	METADATA_CACHE = 16,
	METADATA_BYTES = 24,
};

struct slabs_machine {
	struct machine *machine;
	struct pa_source base;
	/* Of pages MEMORY_PFN and on. */
	uint8_t memory[MEMORY_PAGES * 4096];
	/* Offsets in machine->fixed. */
	uint64_t cache, other, cpu_slab, sheaves, sheaf, barn, full, metadata;
};

struct slabs_reader {
	struct pa_reader base, *under;
};

static struct slabs_machine *owner(struct pa_source *base)
{
	return (struct slabs_machine *)((char *)base -
					offsetof(struct slabs_machine, base));
}

static struct pa_error *reader_create(struct pa_source *base,
				      struct pa_reader **ret)
{
	struct slabs_reader *reader = calloc(1, sizeof(*reader));

	CHECK_FATAL(reader);
	reader->base.source = base;
	CHECK_OK(pa_reader_create(&owner(base)->machine->base, &reader->under));
	*ret = &reader->base;
	return NULL;
}

static void reader_destroy(struct pa_reader *base)
{
	pa_reader_destroy(((struct slabs_reader *)base)->under);
	free(base);
}

static struct pa_error *run(struct pa_reader *base, uint64_t phys,
			    uint64_t length, uint8_t *buffer,
			    struct pa_run *ret)
{
	struct slabs_machine *m = owner(base->source);
	uint64_t inside = phys - MEMORY_PFN * 4096;

	if (inside < sizeof(m->memory)) {
		*ret = (struct pa_run){
			.presence = PA_PRESENT,
			.length = pa_min(length, sizeof(m->memory) - inside),
			.data = m->memory + inside,
		};
		return NULL;
	}
	return pa_reader_run(((struct slabs_reader *)base)->under, phys, length,
			     buffer, ret);
}

static void add_layout(struct pa_layout *l)
{
#define TYPE(type, bytes) \
	(l->types[PA_TYPE_##type] = (struct pa_type){ true, bytes })
#define MEMBER(type, member, at, bytes)               \
	(l->members[PA_MEMBER_##type##__##member] =   \
		 (struct pa_member){ .known = true,   \
				     .offset = (at),  \
				     .size = (bytes), \
				     .element_size = 8 })
	TYPE(slab, 64);
	MEMBER(slab, slab_cache, SLAB_CACHE, 8);
	MEMBER(slab, freelist, SLAB_FREELIST, 8);
	MEMBER(slab, objects, SLAB_COUNTERS, 4);
	l->members[PA_MEMBER_slab__objects].bit_size = 15;
	l->members[PA_MEMBER_slab__objects].bit_offset = 16;
	TYPE(kmem_cache, CACHE_BYTES);
	MEMBER(kmem_cache, size, CACHE_SIZE, 4);
	MEMBER(kmem_cache, object_size, CACHE_OBJECT_SIZE, 4);
	MEMBER(kmem_cache, offset, CACHE_OFFSET, 4);
	MEMBER(kmem_cache, red_left_pad, CACHE_RED_LEFT, 4);
	MEMBER(kmem_cache, name, CACHE_NAME, 8);
	MEMBER(kmem_cache, random, CACHE_RANDOM, 8);
	MEMBER(kmem_cache, cpu_slab, CACHE_CPU_SLAB, 8);
	MEMBER(kmem_cache, cpu_sheaves, CACHE_CPU_SHEAVES, 8);
	MEMBER(kmem_cache, per_node, CACHE_PER_NODE, 16);
	l->members[PA_MEMBER_kmem_cache__per_node].element_size = 16;
	MEMBER(kmem_cache_per_node_ptrs, barn, 0, 8);
	MEMBER(kmem_cache_cpu, freelist, 0, 8);
	MEMBER(kmem_cache_cpu, slab, 8, 8);
	MEMBER(slub_percpu_sheaves, main, 0, 8);
	MEMBER(slub_percpu_sheaves, spare, 8, 8);
	MEMBER(slub_percpu_sheaves, rcu_free, 16, 8);
	TYPE(slab_sheaf, SHEAF_BYTES);
	MEMBER(slab_sheaf, barn_list, SHEAF_LIST, 16);
	MEMBER(slab_sheaf, size, SHEAF_SIZE, 4);
	MEMBER(slab_sheaf, objects, SHEAF_OBJECTS, 0);
	MEMBER(node_barn, sheaves_full, 0, 16);
	TYPE(kfence_metadata, METADATA_BYTES);
	MEMBER(kfence_metadata, state, METADATA_STATE, 4);
	MEMBER(kfence_metadata, addr, METADATA_ADDR, 8);
	MEMBER(kfence_metadata, cache, METADATA_CACHE, 8);
	l->enumerators[PA_ENUM_KFENCE_OBJECT_ALLOCATED] =
		(struct pa_enumerator){ true, 1 };
#undef TYPE
#undef MEMBER
}

static uint64_t slab_start(unsigned int slab)
{
	return DIRECT + (FIRST_SLAB + slab * SLAB_PAGES) * UINT64_C(4096);
}

static uint64_t object(unsigned int slab, unsigned int index)
{
	return slab_start(slab) + RED_LEFT + index * SIZE;
}

static uint8_t *fixed(const struct slabs_machine *m, uint64_t at)
{
	return m->machine->fixed + at;
}

static uint8_t *slab_page(const struct slabs_machine *m, unsigned int slab)
{
	return m->machine->tile +
	       (FIRST_SLAB + slab * SLAB_PAGES) * MACHINE_PAGE_BYTES;
}

/* Makes the first @nr of @chain, and then @end, the free list from @head on. */
static void put_chain(struct slabs_machine *m, uint8_t *head,
		      const uint64_t *chain, unsigned int nr, uint64_t end)
{
	machine_put(head, nr ? chain[0] : end);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t at = chain[i] + OFFSET;
		uint64_t next = i + 1 < nr ? chain[i + 1] : end;

		machine_put(m->memory + (at - slab_start(0)),
			    next ^ RANDOM ^ __builtin_bswap64(at));
	}
}

static void put_cache(const struct slabs_machine *m, uint64_t at, uint64_t name)
{
	uint32_t numbers[] = { SIZE, OBJECT_SIZE, OFFSET, RED_LEFT };

	memcpy(fixed(m, at), numbers, sizeof(numbers));
	machine_put(fixed(m, at) + CACHE_NAME, MACHINE_IMAGE + name);
	machine_put(fixed(m, at) + CACHE_RANDOM, RANDOM);
}

static void put_slab(const struct slabs_machine *m, unsigned int slab,
		     uint64_t cache, uint32_t nr)
{
	uint32_t counters = nr << 16 | nr;

	machine_put(slab_page(m, slab) + SLAB_CACHE, cache);
	machine_put(slab_page(m, slab) + SLAB_FREELIST, 0);
	memcpy(slab_page(m, slab) + SLAB_COUNTERS, &counters, 4);
}

static void put_metadata(const struct slabs_machine *m, unsigned int index,
			 uint32_t state, uint64_t addr, uint64_t cache)
{
	uint8_t *at = fixed(m, m->metadata + index * METADATA_BYTES);

	memcpy(at + METADATA_STATE, &state, 4);
	machine_put(at + METADATA_ADDR, addr);
	machine_put(at + METADATA_CACHE, cache);
}

static uint64_t pool_page(unsigned int index)
{
	return DIRECT + (POOL_PFN + 2 * (index + 1)) * UINT64_C(4096);
}

/* A machine with one cache; slabs have no cache until they get one. */
static struct slabs_machine *create(void)
{
	static const struct pa_source_ops ops = {
		.reader_create = reader_create,
		.reader_destroy = reader_destroy,
		.run = run,
	};
	struct slabs_machine *m = calloc(1, sizeof(*m));

	CHECK_FATAL(m);
	m->machine = machine_create(1);
	m->base.ops = &ops;
	m->base.info = m->machine->base.info;
	add_layout(&m->machine->layout);
	m->cache = machine_place(m->machine, CACHE_BYTES);
	m->other = machine_place(m->machine, CACHE_BYTES);
	m->cpu_slab = machine_place(m->machine, 16);
	m->sheaves = machine_place(m->machine, 24);
	m->sheaf = machine_place(m->machine, SHEAF_BYTES);
	m->barn = machine_place(m->machine, 16);
	m->full = machine_place(m->machine, SHEAF_BYTES);
	m->metadata = machine_place(m->machine, 4096);

	uint64_t name = machine_place(m->machine, 8);

	memcpy(fixed(m, name), "things", 7);
	put_cache(m, m->cache, name);
	for (unsigned int i = 0; i < NR_SLABS; i++)
		put_slab(m, i, MACHINE_IMAGE + m->cache, NR_OBJECTS);
	return m;
}

static void destroy(struct slabs_machine *m)
{
	pa_source_destroy(&m->machine->base);
	free(m);
}

/* What is read of a machine as it is now. */
struct view {
	struct pa_kernel *kernel;
	struct pa_census *census;
	struct pa_memory *memory;
};

static void open_view(struct slabs_machine *m, struct view *view)
{
	struct pa_job job;

	pa_job_init(&job, 2);
	CHECK_OK(
		pa_kernel_create(&m->base, &m->machine->layout, &view->kernel));
	CHECK_OK(pa_census_create(view->kernel, true, NULL, &job,
				  &view->census));
	CHECK_OK(pa_kernel_memory(view->kernel, &view->memory));
}

static void close_view(struct view *view)
{
	pa_memory_destroy(view->memory);
	pa_census_destroy(view->census);
	pa_kernel_destroy(view->kernel);
}

struct seen {
	uint64_t objects[PA_MAX_SLAB_OBJECTS];
	unsigned int nr, limit;
};

static bool visit(void *arg, uint64_t address)
{
	struct seen *seen = arg;

	seen->objects[seen->nr++] = address;
	return seen->nr != seen->limit;
}

/* Slab @slab of the first tile. */
static const struct pa_slab *find_slab(const struct view *view,
				       unsigned int slab)
{
	return &view->census->slabs->list.items[slab];
}

static unsigned int nr_allocated(const struct view *view, unsigned int slab)
{
	static struct seen seen;

	seen.nr = seen.limit = 0;
	CHECK_OK(pa_slab_visit(view->census, view->memory,
			       find_slab(view, slab), visit, &seen));
	return seen.nr;
}

static struct pa_slab_place place(const struct view *view, uint64_t va)
{
	struct pa_slab_place place;

	CHECK_OK(pa_slabs_place(view->census, view->memory, va, &place));
	return place;
}

static bool is_allocated(const struct view *view, uint64_t va)
{
	return place(view, va).allocated;
}

static void test_caches(void)
{
	struct slabs_machine *m = create();
	uint64_t tiles = m->machine->pages / MACHINE_TILE_PAGES;
	const struct pa_slab_cache *cache;
	struct view view;

	/* Half of the slabs are another cache's, whose name is gone. */
	for (unsigned int i = 0; i < NR_SLABS; i += 2)
		put_slab(m, i, MACHINE_IMAGE + m->other, NR_OBJECTS);
	put_cache(m, m->other, 0);
	machine_put(fixed(m, m->other) + CACHE_NAME, MACHINE_VMEMMAP - 4096);
	open_view(m, &view);
	CHECK(view.census->slabs->list.length == tiles * NR_SLABS / 2);
	CHECK(view.census->parts[PA_CENSUS_SLABS].unreadable == 1);
	cache = pa_slabs_cache_named(view.census->slabs, "things");
	CHECK_FATAL(cache);
	CHECK(cache->address == MACHINE_IMAGE + m->cache);
	CHECK(cache == pa_slabs_cache(view.census->slabs, cache->address));
	CHECK(!pa_slabs_cache(view.census->slabs, cache->address + 8));
	CHECK(!pa_slabs_cache(view.census->slabs, MACHINE_IMAGE + m->other));
	CHECK(!pa_slabs_cache_named(view.census->slabs, "thing"));
	CHECK(cache->size == SIZE && cache->object_size == OBJECT_SIZE);
	CHECK(cache->nr == tiles * NR_SLABS / 2);
	for (size_t i = 0; i < cache->nr; i++) {
		uint32_t index =
			view.census->slabs->by_cache.items[cache->first + i];

		CHECK(index == i);
		CHECK(view.census->slabs->list.items[index].order == 3);
		CHECK(view.census->slabs->list.items[index].pfn ==
		      i / 8 * MACHINE_TILE_PAGES + FIRST_SLAB +
			      (i % 8 * 2 + 1) * SLAB_PAGES);
	}
	close_view(&view);
	destroy(m);
}

/* One damaged byte of a name is no reason to know nothing of its objects. */
static void test_damaged_name(void)
{
	struct slabs_machine *m = create();
	struct view view;
	uint64_t name;

	memcpy(&name, fixed(m, m->cache) + CACHE_NAME, sizeof(name));
	fixed(m, name - MACHINE_IMAGE)[2] = 0xff;
	open_view(m, &view);
	CHECK(pa_slabs_cache_named(view.census->slabs, "th?ngs"));
	CHECK(nr_allocated(&view, 0) == NR_OBJECTS);
	close_view(&view);
	destroy(m);
}

static void test_chains(void)
{
	struct slabs_machine *m = create();
	struct view view;
	const uint64_t chain[] = { object(0, 7), object(0, 0), object(0, 119) };
	const uint64_t cycle[] = { object(1, 4), object(1, 5) };
	const uint64_t stray[] = { object(2, 4), object(2, 5) };
	const uint64_t crooked[] = { object(3, 4), object(3, 5) };

	put_chain(m, slab_page(m, 0) + SLAB_FREELIST, chain, 3, 0);
	put_chain(m, slab_page(m, 1) + SLAB_FREELIST, cycle, 2, cycle[0]);
	put_chain(m, slab_page(m, 2) + SLAB_FREELIST, stray, 2, object(5, 0));
	put_chain(m, slab_page(m, 3) + SLAB_FREELIST, crooked, 2,
		  object(3, 6) + 8);
	/* Behind the last object, and in front of the first. */
	machine_put(slab_page(m, 4) + SLAB_FREELIST, object(4, NR_OBJECTS));
	machine_put(slab_page(m, 5) + SLAB_FREELIST, slab_start(5));
	open_view(m, &view);
	CHECK(nr_allocated(&view, 0) == NR_OBJECTS - 3);
	for (unsigned int i = 0; i < NR_OBJECTS; i++)
		CHECK(is_allocated(&view, object(0, i)) ==
		      (i != 7 && i && i != 119));
	for (unsigned int slab = 1; slab < 4; slab++) {
		CHECK(nr_allocated(&view, slab) == NR_OBJECTS - 2);
		CHECK(is_allocated(&view, object(slab, 3)));
		CHECK(!is_allocated(&view, object(slab, 4)));
		CHECK(!is_allocated(&view, object(slab, 5)));
		CHECK(is_allocated(&view, object(slab, 6)));
	}
	CHECK(nr_allocated(&view, 4) == NR_OBJECTS);
	CHECK(nr_allocated(&view, 5) == NR_OBJECTS);
	close_view(&view);
	destroy(m);
}

/* What CPUs and nodes have, beside what the slab has itself. */
static void test_stock(void)
{
	struct slabs_machine *m = create();
	uint64_t list = MACHINE_IMAGE + m->full + SHEAF_LIST;
	uint64_t barn = MACHINE_IMAGE + m->barn;
	const uint64_t own[] = { object(0, 1) };
	const uint64_t cpu[] = { object(0, 2), object(0, 3) };
	struct view view;

	put_chain(m, slab_page(m, 0) + SLAB_FREELIST, own, 1, 0);
	put_chain(m, fixed(m, m->cpu_slab), cpu, 2, 0);
	machine_put(fixed(m, m->cpu_slab) + 8, machine_page(FIRST_SLAB));
	machine_put(fixed(m, m->cache) + CACHE_CPU_SLAB,
		    MACHINE_IMAGE + m->cpu_slab);
	machine_put(fixed(m, m->cache) + CACHE_CPU_SHEAVES,
		    MACHINE_IMAGE + m->sheaves);
	machine_put(fixed(m, m->cache) + CACHE_PER_NODE, barn);
	machine_put(fixed(m, m->sheaves), MACHINE_IMAGE + m->sheaf);
	machine_put(fixed(m, m->sheaf) + SHEAF_SIZE, 3);
	/* In another slab, in this one, and in none. */
	machine_put(fixed(m, m->sheaf) + SHEAF_OBJECTS, object(1, 9));
	machine_put(fixed(m, m->sheaf) + SHEAF_OBJECTS + 8, object(0, 4));
	machine_put(fixed(m, m->sheaf) + SHEAF_OBJECTS + 16, 1);
	machine_put(fixed(m, m->barn), list);
	machine_put(fixed(m, m->barn) + 8, list);
	machine_put(fixed(m, m->full) + SHEAF_LIST, barn);
	machine_put(fixed(m, m->full) + SHEAF_LIST + 8, barn);
	machine_put(fixed(m, m->full) + SHEAF_SIZE, 1);
	machine_put(fixed(m, m->full) + SHEAF_OBJECTS, object(0, 119));
	open_view(m, &view);
	CHECK(!view.census->parts[PA_CENSUS_SLABS].unreadable);
	CHECK(!view.census->slabs->caches.items[0].free_unknown);
	CHECK(nr_allocated(&view, 0) == NR_OBJECTS - 5);
	for (unsigned int i = 0; i < NR_OBJECTS; i++)
		CHECK(is_allocated(&view, object(0, i)) ==
		      (!i || (i > 4 && i != 119)));
	CHECK(nr_allocated(&view, 1) == NR_OBJECTS - 1);
	CHECK(!is_allocated(&view, object(1, 9)));
	close_view(&view);

	/* A sheaf of garbage, and one that is not there. */
	machine_put(fixed(m, m->sheaf) + SHEAF_SIZE, UINT32_MAX);
	machine_put(fixed(m, m->sheaves) + 8, MACHINE_VMEMMAP - 4096);
	machine_put(fixed(m, m->full) + SHEAF_LIST, list + 8);
	open_view(m, &view);
	CHECK(view.census->parts[PA_CENSUS_SLABS].unreadable == 3);
	CHECK(view.census->slabs->caches.items[0].free_unknown);
	CHECK(nr_allocated(&view, 0) == NR_OBJECTS - 4);
	close_view(&view);
	destroy(m);
}

static void test_hostile(void)
{
	struct slabs_machine *m = create();
	uint64_t tiles = m->machine->pages / MACHINE_TILE_PAGES;
	static struct seen seen;
	struct view view;

	/* No cache, user memory, and more objects than there is room for. */
	machine_put(slab_page(m, 13) + SLAB_CACHE, 0);
	machine_put(slab_page(m, 14) + SLAB_CACHE, 4096);
	put_slab(m, 12, MACHINE_IMAGE + m->cache, 128);
	put_slab(m, 11, MACHINE_IMAGE + m->cache, 0);
	/* No compound page's order. */
	slab_page(m, 15)[MACHINE_PAGE_BYTES] = 63;
	open_view(m, &view);
	CHECK(view.census->parts[PA_CENSUS_SLABS].unreadable == 3 * tiles);
	CHECK(view.census->slabs->list.length == (NR_SLABS - 3) * tiles);
	CHECK_ERROR(PA_ERROR_CORRUPT,
		    pa_slab_visit(view.census, view.memory,
				  find_slab(&view, 12), visit, &seen));
	CHECK(!nr_allocated(&view, 11));
	/* The visitor can stop. */
	seen.nr = 0;
	seen.limit = 3;
	CHECK_OK(pa_slab_visit(view.census, view.memory, find_slab(&view, 0),
			       visit, &seen));
	CHECK(seen.nr == 3 && seen.objects[2] == object(0, 2));
	/* No slab has a size that it can't have. */
	close_view(&view);
	memset(fixed(m, m->cache), 0, 16);
	open_view(m, &view);
	CHECK(!view.census->slabs->list.length);
	CHECK(!pa_slabs_cache_named(view.census->slabs, "things"));
	CHECK(!place(&view, object(0, 0)).slab);
	close_view(&view);
	destroy(m);
}

static void test_places(void)
{
	struct slabs_machine *m = create();
	struct pa_slab_place at;
	struct view view;

	open_view(m, &view);
	at = place(&view, object(2, 5) + SIZE - 1);
	CHECK(at.slab == find_slab(&view, 2));
	CHECK(at.cache == &view.census->slabs->caches.items[0]);
	CHECK(at.object == object(2, 5) && at.offset == SIZE - 1);
	CHECK(at.allocated);
	/* The slab's last page, behind the last object; and its first bytes. */
	at = place(&view, slab_start(3) - 1);
	CHECK(at.slab == find_slab(&view, 2));
	CHECK(!at.object && !at.allocated);
	at = place(&view, slab_start(3));
	CHECK(at.slab == find_slab(&view, 3) && !at.object);
	CHECK(!place(&view, slab_start(0) - 1).slab);
	CHECK(!place(&view, slab_start(NR_SLABS)).slab);
	CHECK(!place(&view, 0).slab);
	CHECK(!place(&view, UINT64_MAX).slab);
	CHECK(!place(&view, MACHINE_IMAGE + m->cache).slab);
	close_view(&view);
	destroy(m);
}

static void test_kfence(void)
{
	struct slabs_machine *m = create();
	uint64_t symbols = machine_place(m->machine, 16);
	uint64_t tiles = m->machine->pages / MACHINE_TILE_PAGES;
	uint64_t first = pool_page(0) + 4096 - OBJECT_SIZE;
	uint64_t cache = MACHINE_IMAGE + m->cache;
	struct pa_slab_place at;
	struct view view;

	machine_symbol(m->machine, PA_SYM___kfence_pool, symbols);
	machine_symbol(m->machine, PA_SYM_kfence_metadata, symbols + 8);
	machine_symbol(m->machine, PA_SYM_kfence_metadata_init, symbols + 8);
	machine_put(fixed(m, symbols), DIRECT + POOL_PFN * UINT64_C(4096));
	machine_put(fixed(m, symbols + 8), MACHINE_IMAGE + m->metadata);
	put_metadata(m, 0, 1, first, cache);
	put_metadata(m, 1, 2, pool_page(1), cache);
	put_metadata(m, 2, 1, pool_page(2), cache);
	open_view(m, &view);
	CHECK(view.census->slabs->kfence.nr == POOL_OBJECTS);
	CHECK(view.census->slabs->list.length == tiles * NR_SLABS + 2);
	CHECK(view.census->slabs->caches.items[0].nr == tiles * NR_SLABS + 2);
	/* Behind the slabs of the first tile; the freed one is left out. */
	CHECK(find_slab(&view, NR_SLABS)->pfn == POOL_PFN + 2);
	CHECK(find_slab(&view, NR_SLABS)->kfence);
	CHECK(find_slab(&view, NR_SLABS + 1)->pfn == POOL_PFN + 6);
	CHECK(nr_allocated(&view, NR_SLABS) == 1);
	at = place(&view, first + 10);
	CHECK(at.object == first && at.offset == 10 && at.allocated);
	CHECK(place(&view, first - 1).slab && !place(&view, first - 1).object);
	CHECK(!place(&view, pool_page(1)).slab);
	CHECK(!place(&view, pool_page(0) - 1).slab);
	close_view(&view);
	destroy(m);
}

int main(void)
{
	test_caches();
	test_damaged_name();
	test_chains();
	test_stock();
	test_hostile();
	test_places();
	test_kfence();
	return CHECK_DONE();
}
