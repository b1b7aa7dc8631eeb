# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# Workloads without end, for guests that are stopped at random (scripts/soak). The
# pieces of pieces.sh are there too.

# forever COMMAND...: in the background, begun again whenever it ends.
forever() {
	(while :; do "$@" >/dev/null 2>&1 || usleep 50000; done) &
}

# random N: a number below N.
random() {
	echo $(($(od -An -N2 -tu2 </dev/urandom) % $1))
}

# some_sleep MS: up to so long.
some_sleep() {
	usleep "$(($(random "$1") * 1000))"
}

put() {
	echo "$1" 2>/dev/null >"$2"
}

drop() {
	put "$((1 + $(random 3)))" /proc/sys/vm/drop_caches
	some_sleep 500
}

compaction() {
	put 1 /proc/sys/vm/compact_memory
	some_sleep 200
}

hugepage_pool() {
	put "$(random "$1")" /proc/sys/vm/nr_hugepages
	some_sleep 200
}

split_all() {
	put 1 /sys/kernel/debug/split_huge_pages
	some_sleep 500
}

thp_settings() {
	for word in always madvise; do
		put $word $THP/enabled
		put $word $THP/defrag
		some_sleep 2000
	done
}

swap_cycle() {
	swapoff /dev/zram0
	swapon /dev/zram0
	some_sleep 3000
}

migration() {
	guest migrate 0 1
	some_sleep 500
	guest migrate 1 0
	some_sleep 500
}

pcp_sizes() {
	put "$(((1 + $(random 4)) * 8))" /proc/sys/vm/percpu_pagelist_high_fraction
	some_sleep 500
	put 0 /proc/sys/vm/percpu_pagelist_high_fraction
	some_sleep 500
}

block_cycle() {
	# shellcheck disable=SC2012
	set -- $(ls -d $MEMORY/memory[0-9]* | sed 's/.*memory//' | sort -rn | head -n 4)
	shift "$(random $#)"
	put offline "$MEMORY/memory$1/state"
	some_sleep 300
	for how in online_movable online; do
		[ "$(cat "$MEMORY/memory$1/state")" = online ] || put $how "$MEMORY/memory$1/state"
	done
	some_sleep 300
}

cgroup_cycle() {
	name=storm$(random 10000)
	mkdir -p "$CGROUPS/$name" || return 1
	put 48M "$CGROUPS/$name/memory.max"
	in_cgroup "$name" guest storm thp 16 60
	in_cgroup "$name" guest storm file 4 30 /tmp
	rmdir "$CGROUPS/$name"
}

lru_cycle() {
	for word in y n; do
		put $word /sys/kernel/mm/lru_gen/enabled
		some_sleep 1500
		lru_gen age
	done
}

processes() {
	for n in 1 2 3; do
		sh -c 'cat /proc/self/maps /proc/meminfo | sort | wc -l' &
	done
	wait
}

# storm KIND...: begin all that belongs to these.
storm() {
	for kind in "$@"; do
		"storm_$kind" || return 1
	done
	event "storm $*"
}

storm_thp() {
	put 10 $THP/khugepaged/scan_sleep_millisecs
	put 10 $THP/khugepaged/alloc_sleep_millisecs
	put 4096 $THP/khugepaged/pages_to_scan
	for size in 8 32; do
		forever guest storm thp $size
		forever guest storm forks $size
	done
	forever guest storm pipes 8
	forever split_all
	forever thp_settings
}

storm_cache() {
	mke2fs -b 4096 /dev/nvme0n1 65536 >/dev/null 2>&1
	mkdir -p /mnt/disk /tmp/huge
	mount -t ext4 /dev/nvme0n1 /mnt/disk || return 1
	mount -t tmpfs -o huge=always,size=128M tmpfs /tmp/huge || return 1
	mount -o remount,size=64M /tmp
	forever guest storm file 16 0 /mnt/disk
	forever guest storm file 4 0 /mnt/disk
	forever guest storm file 16 0 /tmp/huge
	forever guest storm file 8 0 /tmp
	forever drop
	forever processes
}

storm_reclaim() {
	zram_swap 256 || return 1
	# STORM_MIB: less than all that there is.
	total=${STORM_MIB:-$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)}
	forever guest storm pressure $((total / 2))
	forever guest storm pressure $((total / 4))
	forever swap_cycle
	forever pcp_sizes
	[ -e /sys/kernel/mm/lru_gen/enabled ] && forever lru_cycle
	return 0
}

storm_compact() {
	forever compaction
	put 1000 /sys/kernel/mm/ksm/pages_to_scan
	put 10 /sys/kernel/mm/ksm/sleep_millisecs
	put 1 /sys/kernel/mm/ksm/run
}

# Nodes balance what their tasks use by themselves, too.
storm_nodes() {
	[ -e /sys/devices/system/node/node1 ] && forever migration
}

storm_hugetlb() {
	put 8 /proc/sys/vm/nr_overcommit_hugepages
	forever hugepage_pool 32
	forever guest storm hugetlb 16
	forever guest storm hugetlb 6
}

storm_lent() {
	loopback && hugetlbfs || return 1
	put 24 /proc/sys/vm/nr_hugepages
	grep -q " /mnt/disk " /proc/mounts || {
		mke2fs -b 4096 /dev/nvme0n1 65536 >/dev/null 2>&1
		mkdir -p /mnt/disk
		mount -t ext4 /dev/nvme0n1 /mnt/disk || return 1
	}
	forever guest storm uring 8
	forever guest storm direct 8 0 /mnt/disk
	forever guest storm direct 4 60 /mnt/disk
	forever guest storm sockets 8 0 /mnt/disk
	forever guest storm sockets 4 100 /tmp
	forever guest storm pipes 8
	forever guest storm huge_shared 1 0 /mnt/huge
}

# Tasks in great number, each with some of its parent's memory.
storm_tasks() {
	forever guest storm forks 16
	forever guest storm forks 4 100
	forever guest crowd 20 256 1
	forever processes
	forever end_crowds
}

end_crowds() {
	killall -q crowd
	some_sleep 1000
}

storm_blocks() {
	forever block_cycle
}

storm_cgroups() {
	mount -t cgroup2 cgroup2 $CGROUPS && put +memory $CGROUPS/cgroup.subtree_control
	forever cgroup_cycle
	forever cgroup_cycle
}

storm_poison() {
	grep -q soft_offline_page /proc/kallsyms || return 0
	forever guest storm poison 8 5
}
