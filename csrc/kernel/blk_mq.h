/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests of block devices: block/blk-mq.c, blk-mq-tag.c. */
#ifndef PA_KERNEL_BLK_MQ_H
#define PA_KERNEL_BLK_MQ_H

#include "base/map.h"
#include "kernel/bio.h"

/* Whether the kernel has what the function below needs. */
bool pa_blk_mq_knows(const struct pa_layout *layout);

/*
 * The bios of all requests of the gendisk at @disk, started or not, of drivers
 * that have requests. @walked has what was walked already: disks share tags,
 * and partitions disks.
 */
struct pa_error *pa_disk_visit_bios(struct pa_memory *memory,
				    const struct pa_layout *layout,
				    uint64_t disk, struct pa_map *walked,
				    pa_bio_visit_fn visit, void *arg);

#endif
