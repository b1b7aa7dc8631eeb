/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User mappings: struct vm_area_struct, include/linux/mm.h, mm/mmap.c. */
#ifndef PA_KERNEL_VMA_H
#define PA_KERNEL_VMA_H

#include "kernel/kernel.h"

/* vm_flags: macros on all kernels, of these values. */
#define PA_VM_PFNMAP UINT64_C(0x400)
#define PA_VM_LOCKED UINT64_C(0x2000)
#define PA_VM_IO UINT64_C(0x4000)
#define PA_VM_HUGETLB UINT64_C(0x400000)
#define PA_VM_MIXEDMAP UINT64_C(0x10000000)

struct pa_vma {
	/* Virtual address of the vm_area_struct. */
	uint64_t address;
	/* User addresses [start, end). */
	uint64_t start, end;
	/* PA_VM_... */
	uint64_t flags;
	/* struct file and struct anon_vma, or 0. */
	uint64_t file, anon_vma;
	/* Of @start in the file, in pages. */
	uint64_t pgoff;
};

struct pa_vmas {
	/* By address, disjoint. */
	PA_ARRAY(struct pa_vma) list;
	/* Nodes and VMAs that could not be read, or make no sense. */
	uint64_t unreadable;
};

/*
 * All VMAs of the mm_struct at @mm. @ret is zeroed before, and the caller's to
 * deinit in any case; what can't be read is counted there.
 */
struct pa_error *pa_vmas_read(const struct pa_kernel *kernel,
			      struct pa_memory *memory, uint64_t mm,
			      struct pa_vmas *ret);
void pa_vmas_deinit(struct pa_vmas *vmas);

/* The VMA that @address is in; NULL: none. Borrowed. */
const struct pa_vma *pa_vmas_find(const struct pa_vmas *vmas, uint64_t address);

#endif
