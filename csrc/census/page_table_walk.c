// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Page tables: mm/memory.c, mm/huge_memory.c, mm/hugetlb.c, mm/pgtable-generic.c.
 *
 * Each table of each mm is walked once. Only hugetlb shares tables between mms
 * (huge_pmd_share()), and then a fault in one of them counts one map for all;
 * what garbage links twice is walked once, too, whatever it is. The kernel's
 * half of a root and the other root of PTI name what is mapped elsewhere, but
 * for the mm's LDT (map_ldt_struct()): tables of the mm, which map no page of it.
 */
#include "census/page_table_walk.h"

#include <stdlib.h>

/* Entries of the root that map user addresses. */
#define USER_ENTRIES 256
/* LDT_PGD_ENTRY: the LDT's under PTI; without, nothing is there. */
#define LDT_ENTRY 272
/* Of an mm that has them all in one list: for 2 TiB. */
#define MAX_DEPOSITED PA_BIT(20)
/* Tables of others that one item shares, GiB by GiB: garbage has no end. */
#define MAX_SHARED 4096

/* Whether @va is in the one part of the kernel's half that is walked. */
static bool is_ldt(uint64_t va)
{
	return va >> 63;
}

/* Whether the table at @pfn was met before; true, too, if out of memory. */
static bool meet(struct pa_table_walk *walk, uint64_t pfn)
{
	const struct pa_sections *sections = &walk->holder->kernel->sections;
	uint64_t **slot =
		&walk->state->met[sections->index[pfn >> sections->pages_shift] -
				  1];
	uint64_t *bits = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	uint64_t bit = pfn & (sections->pages - 1);

	if (!bits) {
		uint64_t *made = calloc(sections->pages / 64 + 1, 8);

		if (!made) {
			walk->holder->err = &pa_error_no_memory;
			return true;
		}
		if (__atomic_compare_exchange_n(slot, &bits, made, false,
						__ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			bits = made;
		else
			free(made);
	}
	return __atomic_fetch_or(&bits[bit / 64], PA_BIT(bit % 64),
				 __ATOMIC_RELAXED) >>
		       bit % 64 &
	       1;
}

/* False if the walk must stop. */
static bool refer(struct pa_table_walk *walk, enum pa_reference_kind kind,
		  uint64_t pfn, uint64_t slot, uint64_t va)
{
	const struct pa_reference ref = {
		.holder = PA_HOLDER_PAGE_TABLE,
		.kind = kind,
		.count = 1,
		.pfn = pfn,
		.slot = slot,
		.owner = walk->mm->address,
		.index = va,
	};

	return pa_refer(walk->holder, &ref);
}

/* Told to whoever asks for what names the page; nothing is counted by it. */
static bool mention(struct pa_table_walk *walk, uint64_t pfn, uint64_t slot,
		    uint64_t va)
{
	if (walk->holder->watch)
		return refer(walk, PA_REF_LINK, pfn, slot, va);
	walk->holder->references++;
	return true;
}

/* The bytes of the table at @pfn, in @buffer or where they are; NULL: absent. */
static struct pa_error *read_table(struct pa_table_walk *walk, uint64_t pfn,
				   uint8_t *buffer, const uint8_t **ret)
{
	struct pa_reader *reader = walk->holder->memory->reader;
	struct pa_run run;
	struct pa_error *err =
		pa_reader_run(reader, pfn << 12, PA_TABLE_BYTES, buffer, &run);

	*ret = NULL;
	if (!err && run.presence == PA_PRESENT && run.length == PA_TABLE_BYTES)
		*ret = run.data;
	else if (!err) {
		err = pa_reader_read(reader, pfn << 12, PA_TABLE_BYTES, buffer);
		if (!err)
			*ret = buffer;
	}
	if (pa_error_is_target(err)) {
		pa_error_destroy(err);
		walk->found.unreadable++;
		return NULL;
	}
	return err;
}

/*
 * What a PMD table maps for one more mm than the one that it was walked for, to
 * whoever asks: the map that counts is the other's.
 */
static struct pa_error *mention_leaves(struct pa_table_walk *walk, uint64_t pfn,
				       uint64_t va)
{
	const struct pa_kernel *kernel = walk->holder->kernel;
	const uint64_t slot = kernel->space.direct_start + (pfn << 12);
	uint8_t buffer[PA_TABLE_BYTES];
	const uint8_t *bytes;
	struct pa_error *err;

	if (!walk->holder->watch || walk->nr_shared++ >= MAX_SHARED)
		return NULL;
	err = read_table(walk, pfn, buffer, &bytes);
	for (unsigned int i = 0; !err && bytes && i < PA_TABLE_ENTRIES; i++) {
		struct pa_entry entry;

		kernel->arch->decode_entry(walk->format, PA_LEVEL_PMD,
					   pa_load_u64(bytes + i * 8), &entry);
		if (entry.kind == PA_ENTRY_PAGE &&
		    !mention(walk, entry.pfn, slot + i * 8,
			     va + ((uint64_t)i << pa_level_shift(1))))
			break;
	}
	return err;
}

/*
 * The table at @pfn that @slot names. True if it is one, and was not walked
 * before; it holds a reference of its own.
 */
static bool enter_table(struct pa_table_walk *walk, unsigned int level,
			uint64_t pfn, uint64_t va,
			const struct pa_table_link *link)
{
	uint64_t slot = link->slot;
	bool met, linked, may = false;

	walk->holder->err = pa_table_is_linked(walk, link, &linked);
	if (walk->holder->err || !linked)
		return false;
	walk->found.tables[level]++;
	walk->holder->err = pa_table_may_be(walk, pfn, &may);
	if (walk->holder->err)
		return false;
	if (!may) {
		/* A fault, if it is no page in use; else somebody's data. */
		refer(walk, PA_REF_LINK, pfn, slot, va);
		walk->found.unreadable++;
		return false;
	}
	met = meet(walk, pfn);
	if (walk->holder->err)
		return false;
	if (!met) {
		walk->tables[level]++;
		return refer(walk, PA_REF_GET, pfn, slot, va);
	}
	/* Each mm that shares it held a reference, or is in its counter. */
	if (walk->format->has_share_count)
		mention(walk, pfn, slot, va);
	else
		refer(walk, PA_REF_GET, pfn, slot, va);
	if (level == PA_LEVEL_PMD && !walk->holder->err)
		walk->holder->err = mention_leaves(walk, pfn, va);
	return false;
}

/* The maps of the large folio that was last found. */
static void leave_folio(struct pa_table_walk *walk)
{
	if (walk->folio_maps)
		pa_mm_id_add(walk->folio, walk->mm->mm_id, walk->folio_maps);
	walk->folio_maps = 0;
}

/* Enters a map of @pfn, which is in a large folio, for the mm. */
static void count_folio(struct pa_table_walk *walk, uint64_t pfn)
{
	if (!walk->folio ||
	    pfn - walk->folio->pfn >= PA_BIT(walk->folio->order)) {
		leave_folio(walk);
		walk->folio = pa_mm_ids_find(walk->holder->kernel,
					     &walk->state->tables->mm_ids, pfn);
	}
	walk->folio_maps += walk->folio != NULL;
}

/* An entry that counts as a map of @pfn. False: stop. */
static bool map(struct pa_table_walk *walk, unsigned int level, uint64_t pfn,
		uint64_t slot, uint64_t va)
{
	if (!walk->holder->watch)
		count_folio(walk, pfn);
	return refer(walk, level ? PA_REF_MAP_ENTIRE : PA_REF_MAP, pfn, slot,
		     va);
}

/*
 * Leaves of a raw mapping that the entry doesn't show as special: before v6.12
 * only the VMA says (vm_normal_page_pmd()). Pages of an LRU or of hugetlb are
 * in no such mapping: their VMAs are not looked up.
 */
static bool is_raw_leaf(struct pa_table_walk *walk, uint64_t pfn, uint64_t va)
{
	const uint8_t *byte = pa_census_class(walk->holder->census, pfn);

	if (walk->format->leaf_may_be_special)
		return false;
	switch (byte ? *byte & PA_CLASS_MASK : PA_CLASS_UNKNOWN) {
	case PA_CLASS_LRU:
	case PA_CLASS_LRU_UNEVICTABLE:
	case PA_CLASS_HUGETLB:
	case PA_CLASS_TAIL:
		return false;
	default:
		break;
	}
	if (!walk->vmas_read) {
		struct pa_error *err = pa_holder_unread(
			walk->holder,
			pa_vmas_read(walk->holder->kernel, walk->holder->memory,
				     walk->mm->address, &walk->vmas));

		walk->vmas_read = true;
		walk->found.unreadable += walk->vmas.unreadable;
		if (err)
			walk->holder->err = err;
	}

	const struct pa_vma *vma = pa_vmas_find(&walk->vmas, va);

	return vma && vma->flags & (PA_VM_PFNMAP | PA_VM_MIXEDMAP);
}

/* An entry that is neither empty nor a table. False: stop. */
static bool visit_entry(struct pa_table_walk *walk, unsigned int level,
			const struct pa_entry *entry, uint64_t slot,
			uint64_t va)
{
	const struct pa_page_table_format *format = walk->format;

	walk->found.entries[entry->kind]++;
	switch (entry->kind) {
	case PA_ENTRY_PAGE:
		if (is_ldt(va) || (level && is_raw_leaf(walk, entry->pfn, va)))
			return mention(walk, entry->pfn, slot, va);
		return map(walk, level, entry->pfn, slot, va);
	case PA_ENTRY_DEVICE_PRIVATE:
		return map(walk, level, entry->pfn, slot, va);
	case PA_ENTRY_DEVICE_EXCLUSIVE:
		if (format->exclusive_is_mapped)
			return map(walk, level, entry->pfn, slot, va);
		return refer(walk, PA_REF_MAP_UNCOUNTED, entry->pfn, slot, va);
	case PA_ENTRY_MIGRATION:
	case PA_ENTRY_DEVMAP:
		return refer(walk, PA_REF_LINK, entry->pfn, slot, va);
	case PA_ENTRY_SPECIAL:
	case PA_ENTRY_HWPOISON:
		/* Any address; memory that may be gone, or free, by now. */
		return mention(walk, entry->pfn, slot, va);
	case PA_ENTRY_BAD:
		walk->found.unreadable++;
		return true;
	default:
		return true;
	}
}

/* Looks up where the pages of @pfn's section are counted. */
static void enter_section(struct pa_table_walk *walk, uint64_t pfn)
{
	const struct pa_sections *sections = &walk->holder->kernel->sections;
	const struct pa_account *account =
		pa_account_find(walk->holder->census->accounts, pfn);
	uint8_t *classes = pa_census_class(walk->holder->census,
					   pa_align_down(pfn, sections->pages));

	walk->section = pfn >> sections->pages_shift;
	walk->classes = classes;
	/* Made by whoever enters the first map. */
	walk->maps = classes && account ?
			     __atomic_load_n(&account->maps, __ATOMIC_ACQUIRE) :
			     NULL;
}

/* Whether a page in plain use is of a large folio: a tail, or before one. */
static inline bool is_large(const struct pa_table_walk *walk, uint64_t index)
{
	const struct pa_sections *sections = &walk->holder->kernel->sections;

	if ((walk->classes[index] & PA_CLASS_MASK) == PA_CLASS_TAIL)
		return true;
	return index + 1 < sections->pages &&
	       (walk->classes[index + 1] & PA_CLASS_MASK) == PA_CLASS_TAIL;
}

/*
 * Counts a page that is plainly mapped, and in plain use, without a call. False
 * if it is to be looked at more closely.
 */
static inline bool count_plain(struct pa_table_walk *walk, uint64_t pfn)
{
	const struct pa_sections *sections = &walk->holder->kernel->sections;
	uint64_t index = pfn & (sections->pages - 1);

	if (pfn >> sections->pages_shift != walk->section || !walk->maps)
		enter_section(walk, pfn);
	if (!walk->maps)
		return false;

	uint8_t class = walk->classes[index] & PA_CLASS_MASK;

	if (!(walk->state->plain_classes >> class & 1))
		return false;
	if (walk->mm_ids && is_large(walk, index))
		count_folio(walk, pfn);
	__atomic_fetch_add(&walk->maps[index], 1, __ATOMIC_RELAXED);
	return true;
}

static inline bool is_empty_line(const uint8_t *bytes)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < 8; i++)
		all |= pa_load_u64(bytes + i * 8);
	return !all;
}

/* A lowest table, whose bytes are @bytes: what most of the time goes to. */
static void walk_ptes(struct pa_table_walk *walk, uint64_t pfn, uint64_t va,
		      const uint8_t *bytes)
{
	const struct pa_page_table_format *format = walk->format;
	const uint64_t plain_mask = format->plain_mask;
	const uint64_t slot =
		walk->holder->kernel->space.direct_start + (pfn << 12);
	const bool counting = !walk->holder->watch && !is_ldt(va);
	uint64_t counted = 0;

	for (unsigned int i = 0; i < PA_TABLE_ENTRIES; i++) {
		uint64_t value = pa_load_u64(bytes + i * 8);

		if (!value) {
			if (!(i & 7) && is_empty_line(bytes + i * 8))
				i += 7;
			continue;
		}
		if (counting && (value & plain_mask) == format->plain &&
		    count_plain(walk, (value & format->phys_mask) >> 12)) {
			counted++;
			continue;
		}

		struct pa_entry entry;

		walk->holder->kernel->arch->decode_entry(format, PA_LEVEL_PTE,
							 value, &entry);
		if (!visit_entry(walk, PA_LEVEL_PTE, &entry, slot + i * 8,
				 va + ((uint64_t)i << 12)))
			break;
	}
	walk->found.entries[PA_ENTRY_PAGE] += counted;
	walk->holder->references += counted;
}

/*
 * PTE tables laid by, so that a split of a leaf never lacks memory: a ring
 * through page->lru (pgtable_trans_huge_deposit()), whose first @slot names.
 */
static struct pa_error *walk_deposited(struct pa_table_walk *walk,
				       uint64_t first, uint64_t slot,
				       uint64_t va, uint64_t limit)
{
	const struct pa_kernel *kernel = walk->holder->kernel;
	uint64_t at = first;

	for (uint64_t i = 0; at && i < limit; i++) {
		struct pa_reference ref = {
			.holder = PA_HOLDER_PAGE_TABLE,
			.kind = PA_REF_GET,
			.count = 1,
			.slot = slot,
			.owner = walk->mm->address,
			.index = va,
		};
		const uint8_t *page;
		struct pa_error *err;

		walk->found.deposited++;
		walk->deposited++;
		if (!pa_refer_page(walk->holder, at, &ref) ||
		    !pa_page_to_pfn(kernel, at, &ref.pfn))
			return NULL;
		err = pa_memmap_page(walk->holder->memmap, ref.pfn, 1, &page);
		if (err)
			return err;
		slot = at + kernel->page_format.lru;
		at = pa_load_u64(page + kernel->page_format.lru) -
		     kernel->page_format.lru;
		if (at == first)
			return NULL;
	}
	return NULL;
}

/* Those that hang on the PMD table at @pfn, one for each leaf at most. */
static struct pa_error *walk_deposited_pmd(struct pa_table_walk *walk,
					   uint64_t pfn, uint64_t va)
{
	uint32_t offset = walk->format->pmd_huge_pte;
	const uint8_t *page;
	struct pa_error *err;

	if (!offset)
		return NULL;
	err = pa_memmap_page(walk->holder->memmap, pfn, 1, &page);
	if (err)
		return err;
	return walk_deposited(walk, pa_load_u64(page + offset),
			      pa_pfn_to_page(walk->holder->kernel, pfn) +
				      offset,
			      va, PA_TABLE_ENTRIES);
}

/* A table whose entries may name other tables. */
static struct pa_error *walk_upper(struct pa_table_walk *walk,
				   unsigned int level, uint64_t pfn,
				   uint64_t va, const uint8_t *bytes)
{
	const struct pa_kernel *kernel = walk->holder->kernel;
	const uint64_t slot = kernel->space.direct_start + (pfn << 12);
	bool top = level + 1 == kernel->space.levels;
	bool may_deposit = false;
	struct pa_error *err = NULL;

	for (unsigned int i = 0;
	     !err && !walk->holder->err && i < PA_TABLE_ENTRIES; i++) {
		uint64_t value = pa_load_u64(bytes + i * 8);
		uint64_t at = va + ((uint64_t)i << pa_level_shift(level));
		struct pa_entry entry;

		if (!value)
			continue;
		if (top && i >= USER_ENTRIES) {
			if (i != LDT_ENTRY)
				continue;
			/* Canonical. */
			at |= ~PA_MASK(pa_level_shift(level) + 9);
		}

		const struct pa_table_link link = { slot + i * 8, value };

		kernel->arch->decode_entry(walk->format, level, value, &entry);
		if (entry.kind != PA_ENTRY_TABLE) {
			visit_entry(walk, level, &entry, link.slot, at);
			may_deposit = true;
		} else if (enter_table(walk, level - 1, entry.pfn, at, &link)) {
			err = pa_table_walk(walk, level - 1, entry.pfn, at,
					    &link);
		}
	}
	if (!err && level == PA_LEVEL_PMD && may_deposit)
		err = pa_holder_unread(walk->holder,
				       walk_deposited_pmd(walk, pfn, va));
	return err;
}

struct pa_error *pa_table_walk(struct pa_table_walk *walk, unsigned int level,
			       uint64_t pfn, uint64_t va,
			       const struct pa_table_link *link)
{
	uint8_t buffer[PA_TABLE_BYTES];
	const uint8_t *bytes;
	struct pa_error *err;
	bool linked;

	if ((int)level == walk->stop_level) {
		const struct pa_table_item item = {
			.mm = walk->mm_index,
			.level = level,
			.pfn = pfn,
			.va = va,
			.link = *link,
		};

		return pa_array_append(&walk->state->items, item) ?
			       NULL :
			       &pa_error_no_memory;
	}
	err = read_table(walk, pfn, buffer, &bytes);
	if (!err && bytes)
		err = pa_table_is_linked(walk, link, &linked);
	if (err || !bytes || !linked)
		return err;
	if (level == PA_LEVEL_PTE) {
		walk_ptes(walk, pfn, va, bytes);
		return NULL;
	}
	/* Others are read while this one is walked. */
	if (bytes != buffer)
		memcpy(buffer, bytes, sizeof(buffer));
	return walk_upper(walk, level, pfn, va, buffer);
}

void pa_table_walk_init(struct pa_table_walk *walk,
			struct pa_holder_walk *holder,
			struct pa_table_state *state, uint32_t mm)
{
	*walk = (struct pa_table_walk){
		.holder = holder,
		.state = state,
		.format = &state->tables->format,
		.mm = &state->tables->mms.list.items[mm],
		.mm_index = mm,
		.stop_level = -1,
		.section = ~UINT64_C(0),
		.mm_ids = state->tables->mm_ids.list.length != 0,
	};
}

static void add_all(uint64_t *to, const uint64_t *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (from[i])
			__atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

void pa_table_walk_deinit(struct pa_table_walk *walk)
{
	struct pa_page_tables *tables = walk->state->tables;
	struct pa_mm_tables *to = &tables->of[walk->mm_index];
	const struct pa_mm_tables *from = &walk->found;

	pa_vmas_deinit(&walk->vmas);
	walk->holder->unreadable += from->unreadable;
	if (walk->holder->watch)
		return;
	leave_folio(walk);
	add_all(to->tables, from->tables, PA_NR_LEVELS);
	add_all(to->entries, from->entries, PA_NR_ENTRY_KINDS);
	add_all(&to->deposited, &from->deposited, 1);
	add_all(&to->unreadable, &from->unreadable, 1);
	add_all(tables->tables, walk->tables, PA_NR_LEVELS);
	add_all(&tables->deposited, &walk->deposited, 1);
}

/* Without split PMD locks all tables laid by hang on the mm. */
static struct pa_error *walk_deposited_mm(struct pa_table_walk *walk)
{
	const struct pa_layout *layout = walk->holder->layout;
	uint64_t slot = walk->mm->address +
			PA_OFFSETOF(layout, mm_struct, pmd_huge_pte);
	uint64_t first;
	struct pa_error *err;

	if (!PA_HAS(layout, mm_struct, pmd_huge_pte))
		return NULL;
	err = pa_memory_read_u64(walk->holder->memory, slot, &first);
	return err ? err : walk_deposited(walk, first, slot, 0, MAX_DEPOSITED);
}

struct pa_error *pa_table_walk_root(struct pa_table_walk *walk)
{
	const struct pa_holder_walk *holder = walk->holder;
	unsigned int top = holder->kernel->space.levels - 1;
	uint64_t pfn = walk->mm->pgd_phys >> 12;
	const struct pa_table_link link = {
		.slot = walk->mm->address +
			PA_OFFSETOF(holder->layout, mm_struct, pgd),
		.value =
			walk->mm->pgd_phys + holder->kernel->space.direct_start,
	};
	struct pa_error *err =
		pa_holder_unread(walk->holder, walk_deposited_mm(walk));

	if (err || !enter_table(walk, top, pfn, 0, &link))
		return err;
	return pa_table_walk(walk, top, pfn, 0, &link);
}
