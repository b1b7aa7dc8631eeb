# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# The pieces that recipes are made of. Each is a function; a status other than 0
# fails the recipe. What the host should know of it goes to /run/events.

MEMORY=/sys/devices/system/memory
THP=/sys/kernel/mm/transparent_hugepage

event() {
	echo "$*" >>/run/events
}

# load MODULE: with what it needs, in the order that the host worked out.
load() {
	while read -r name; do
		grep -q "^$name " /proc/modules || insmod "/modules/$name.ko" || return 1
	done <"/modules/$1.order"
}

# block_of ADDRESS: the number of the memory block that holds a physical address.
block_of() {
	size=$((0x$(cat $MEMORY/block_size_bytes)))
	echo $(($1 / size))
}

# Memory blocks: offline N M ... by number, or online N.
offline() {
	for n in "$@"; do
		for try in 1 2 3 4 5; do
			echo offline >"$MEMORY/memory$n/state" && break
			sleep 0.5
		done
		[ "$(cat "$MEMORY/memory$n/state")" = offline ] || return 1
		event "offline block=$n try=$try"
	done
}

# offline_some N: the N highest blocks of boot memory that can be, their numbers in $some.
offline_some() {
	some=
	for n in $(ls -d $MEMORY/memory[0-9]* | sed 's/.*memory//' | sort -rn); do
		# shellcheck disable=SC2086
		[ "$(echo $some | wc -w)" -ge "$1" ] && break
		case $(cat $MEMORY/memory$n/valid_zones) in *Movable*) ;; *) continue ;; esac
		echo offline 2>/dev/null >$MEMORY/memory$n/state && some="$some $n" && event "offline block=$n"
	done
	# shellcheck disable=SC2086
	[ "$(echo $some | wc -w)" -ge "$1" ]
}

online() {
	how=${2:-online}
	echo "$how" >"$MEMORY/memory$1/state" || return 1
	event "online block=$1 how=$how"
}

# New memory blocks stay as they come.
no_auto_online() {
	echo offline >$MEMORY/auto_online_blocks
}

# dimm_add ID MIB [HOW]: a DIMM is plugged by the host and its blocks onlined (HOW: the
# word for sysfs; none leaves them offline).
dimm_add() {
	how=${3:-online_movable}
	before=$(ls -d $MEMORY/memory[0-9]* | wc -l)
	reply=$(guest host dimm_add "$1" "$2") || return 1
	want=$(($2 / 128))
	for try in $(seq 100); do
		now=$(ls -d $MEMORY/memory[0-9]* | wc -l)
		[ $((now - before)) -ge $want ] && break
		sleep 0.1
	done
	[ $((now - before)) -ge $want ] || return 1
	# "ok ADDRESS SIZE"
	# shellcheck disable=SC2086
	set -- $1 $2 $reply
	first=$(block_of "$4")
	event "dimm_add id=$1 address=$4 size=$5 first_block=$first blocks=$want how=$how try=$try"
	[ "$how" = none ] && return 0
	n=$first
	while [ $n -lt $((first + want)) ]; do
		[ "$(cat $MEMORY/memory$n/state)" = online ] || echo "$how" >$MEMORY/memory$n/state || return 1
		n=$((n + 1))
	done
}

# dimm_del ID: the kernel offlines and ejects it.
dimm_del() {
	before=$(ls -d $MEMORY/memory[0-9]* | wc -l)
	guest host dimm_del "$1" || return 1
	for try in $(seq 150); do
		now=$(ls -d $MEMORY/memory[0-9]* | wc -l)
		[ "$now" -lt "$before" ] && break
		sleep 0.1
	done
	[ "$now" -lt "$before" ] || return 1
	guest host dimm_gone "$1" || return 1
	event "dimm_del id=$1 blocks=$((before - now)) try=$try"
}

# virtio_mem BLOCKS: wait until there are so many memory blocks, those of virtio-mem included.
virtio_mem() {
	load virtio_pci && load virtio_mem || return 1
	before=$(ls -d $MEMORY/memory[0-9]* | wc -l)
	for try in $(seq 100); do
		now=$(ls -d $MEMORY/memory[0-9]* | wc -l)
		[ "$now" -ge "$1" ] && break
		sleep 0.1
	done
	event "virtio_mem blocks=$now before=$before try=$try"
	[ "$now" -ge "$1" ] && sleep 1
}

# virtio_mem_to MIB: the host asks for another size.
virtio_mem_to() {
	guest host qmp qom-set path=/machine/peripheral/virtio-mem property=requested-size "value=$(($1 << 20))" || return 1
	sleep 2
	event "virtio_mem_to mib=$1"
}

# balloon MIB: the host leaves the guest so much.
balloon() {
	load virtio_pci && load virtio_balloon || return 1
	guest host qmp balloon "value=$(($1 << 20))" || return 1
	for try in $(seq 50); do
		free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
		[ "$free" -lt "$1" ] && break
		sleep 0.2
	done
	sleep 1
	event "balloon mib=$1 free=$free try=$try"
}

hugepages() {
	echo "$1" >/proc/sys/vm/nr_hugepages
	have=$(cat /proc/sys/vm/nr_hugepages)
	event "hugepages asked=$1 have=$have"
	[ "$have" -gt 0 ]
}

thp_shmem() {
	mkdir -p /tmp/huge
	mount -t tmpfs -o huge=always tmpfs /tmp/huge && guest shmem "$1" /tmp/huge
}

# ksm MIB: two processes, merged before the dump.
ksm() {
	echo 1000 >/sys/kernel/mm/ksm/pages_to_scan
	echo 10 >/sys/kernel/mm/ksm/sleep_millisecs
	echo 1 >/sys/kernel/mm/ksm/run
	guest ksm "$1" || return 1
	for try in $(seq 50); do
		[ "$(cat /sys/kernel/mm/ksm/pages_sharing)" -gt 100 ] && break
		sleep 0.2
	done
	sleep 0.5
	echo 0 >/sys/kernel/mm/ksm/run
	event "ksm shared=$(cat /sys/kernel/mm/ksm/pages_shared) sharing=$(cat /sys/kernel/mm/ksm/pages_sharing) try=$try"
}

zram_swap() {
	load lzo_rle && load zram || return 1
	echo "$1M" >/sys/block/zram0/disksize || return 1
	mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
}

# cgroup NAME...: memory cgroups at any depth; one that has others in it holds no process.
CGROUPS=/sys/fs/cgroup
cgroup() {
	grep -q " $CGROUPS " /proc/mounts || mount -t cgroup2 cgroup2 $CGROUPS || return 1
	for name in "$@"; do
		at=$CGROUPS
		for part in $(echo "$name" | tr / ' '); do
			echo +memory >$at/cgroup.subtree_control || return 1
			at=$at/$part
			mkdir -p $at || return 1
		done
		event "cgroup name=$name"
	done
}

# in_cgroup NAME COMMAND...
in_cgroup() {
	# shellcheck disable=SC2016
	name=$1 && shift &&
		sh -c 'echo $$ >"$0" && exec "$@"' "$CGROUPS/$name/cgroup.procs" "$@"
}

# no_cgroup NAME: removed; what is charged to it stays.
no_cgroup() {
	rmdir "$CGROUPS/$1" || return 1
	event "no_cgroup name=$1"
}

# lru_gen other: to the multi-gen LRU or away from it; age: a new generation everywhere, so
# that what was used since the last is moved to it, lazily.
lru_gen() {
	gens=/sys/kernel/mm/lru_gen/enabled
	[ -e $gens ] || return 0
	case $1 in
	other)
		case $(cat $gens) in 0x0000) word=y ;; *) word=n ;; esac
		echo $word >$gens || return 1
		;;
	age)
		[ "$(cat $gens)" = 0x0000 ] && return 0
		# A removed one has no id.
		awk '$1 == "memcg" { m = $2 } $1 == "node" { n = $2 } /^ +[0-9]/ && m { g[m " " n] = $1 }
			END { for (i in g) print "+ " i " " g[i] " 1 1" }' /sys/kernel/debug/lru_gen >/run/age
		while read -r line; do
			echo "$line" >/sys/kernel/debug/lru_gen || return 1
		done </run/age
		;;
	esac
	event "lru_gen enabled=$(cat $gens)"
}

# ext4 MIB: a file system (of ext2's format, by the ext4 code) on a loop device over tmpfs.
ext4() {
	load loop || return 1
	truncate -s "$1M" /tmp/disk
	losetup /dev/loop0 /tmp/disk || return 1
	mke2fs -b 4096 /dev/loop0 >/dev/null 2>&1 || return 1
	load ext4 || return 1
	mkdir -p /mnt/ext4
	mount -t ext4 /dev/loop0 /mnt/ext4
}

hugetlbfs() {
	mkdir -p /mnt/huge && mount -t hugetlbfs hugetlbfs /mnt/huge
}

loopback() {
	ifconfig lo 127.0.0.1 up
}

# frozen_disk DEVICE MIB: a loop device over a file of a file system that is frozen then: its
# requests never end.
frozen_disk() {
	truncate -s "$2M" /mnt/ext4/frozen
	losetup "$1" /mnt/ext4/frozen || return 1
	# Writeback is not to wait for its turn: it would for ever.
	echo 0 2>/dev/null >"/sys/block/${1#/dev/}/queue/wbt_lat_usec"
	fsfreeze --freeze /mnt/ext4
}

# Legacy pmem (memmap=SIZE!START on the command line). Each range is a region with
# one namespace; without more ado its memory is fsdax with the memmap in RAM.
ND=/sys/bus/nd
pmem() {
	load nd_e820 && load nd_pmem && load device_dax && load dax_pmem
	event pmem
}

# namespace REGION fsdax|devdax pmem|ram: with the memmap in the device (pmem) or not.
namespace() {
	kind=pfn driver=nd_pmem
	[ "$2" = devdax ] && kind=dax driver=dax_pmem
	seed=$(cat $ND/devices/region$1/${kind}_seed)
	dev=$ND/devices/$seed
	echo namespace$1.0 >$ND/drivers/nd_pmem/unbind 2>/dev/null
	echo $3 >$dev/mode &&
		echo 2097152 >$dev/align &&
		echo 00000000-0000-4000-8000-00000000000$1 >$dev/uuid &&
		echo namespace$1.0 >$dev/namespace &&
		echo $seed >$ND/drivers/$driver/bind || return 1
	event "namespace region=$1 device=$seed mode=$2 map=$3 resource=$(cat $dev/resource) size=$(cat $dev/size)"
}

# no_namespace DEVICE: unbound, so that its memory goes; the DEVICE is that of the event.
no_namespace() {
	driver=nd_pmem
	case $1 in dax*) driver=dax_pmem ;; esac
	echo $1 >$ND/drivers/$driver/unbind || return 1
	# The namespace is free for another mode.
	echo >$ND/devices/$1/namespace
	event "no_namespace device=$1"
}

# ext4_dax DEVICE: mounted on /mnt/dax.
ext4_dax() {
	mke2fs -b 4096 $1 >/dev/null 2>&1
	load ext4 || return 1
	mkdir -p /mnt/dax
	mount -t ext4 -o dax $1 /mnt/dax || return 1
	truncate -s 16M /mnt/dax/file
}

# no_dax [DEVICE]: the file system is unmounted and its device unbound, as far as that goes.
no_dax() {
	guest stuck umount /mnt/dax || return 1
	tail -n 1 /run/events | grep -q ' ended=1 ' || return 0
	guest stuck sh -c "echo ${1:-namespace0.0} >$ND/drivers/nd_pmem/unbind"
}

# no_devdax DEVICE: unbound, as far as that goes.
no_devdax() {
	guest stuck sh -c "echo $1 >$ND/drivers/dax_pmem/unbind"
}

# Memory errors by pfn, through debugfs.
corrupt() {
	load hwpoison_inject || return 1
	echo $1 >/sys/kernel/debug/hwpoison/corrupt-pfn
	event "corrupt pfn=$1 status=$?"
}

unpoison() {
	load hwpoison_inject || return 1
	echo $1 >/sys/kernel/debug/hwpoison/unpoison-pfn
	event "unpoison pfn=$1 status=$?"
}

# corrupt_free [back]: a free page is poisoned (and given back).
corrupt_free() {
	free=$(guest freed 8)
	corrupt $free
	[ "$1" = back ] && unpoison $free
	return 0
}

# corrupt_free_thp: a page in the middle of what was a THP and is free now.
corrupt_free_thp() {
	free=$(guest freed 8 thp)
	corrupt $free
	return 0
}

# corrupt_huge: a page in the middle of a huge page that is free in its pool.
corrupt_huge() {
	free=$(guest freed 2 hugetlb)
	corrupt $free
	return 0
}

# last_block: the number of the memory block that holds the pfn of the last event.
last_block() {
	block_of "$(($(last_pfn) * 4096))"
}

# try_online N: newer kernels refuse to online a block with poison in it.
try_online() {
	echo online_movable 2>/dev/null >"$MEMORY/memory$1/state"
	event "try_online block=$1 state=$(cat "$MEMORY/memory$1/state")"
}

# last_pfn: the pfn of the last event that has one.
last_pfn() {
	sed -n 's/.* pfn=\([0-9]*\).*/\1/p' /run/events | tail -n 1
}

compact() {
	echo 1 >/proc/sys/vm/compact_memory
	event compact
}

# files_again: files are mapped as "guest file" had them. A block that goes offline leaves
# large folios of files unmapped (__split_huge_pmd_locked()).
files_again() {
	killall -USR1 file
}

# rest [SECONDS]: what works on memory by itself rests while truth is read and the dump taken.
rest() {
	echo 3600000 >$THP/khugepaged/scan_sleep_millisecs
	echo 3600000 >$THP/khugepaged/alloc_sleep_millisecs
	# DAMON marks pages idle at random.
	[ -e /sys/module/damon_stat/parameters/enabled ] && echo N >/sys/module/damon_stat/parameters/enabled
	[ -e /proc/sys/vm/compaction_proactiveness ] && echo 0 >/proc/sys/vm/compaction_proactiveness
	# Per-cpu lists shrink by themselves, a little every second, down to this minimum.
	[ -e /proc/sys/vm/percpu_pagelist_high_fraction ] && echo 8 >/proc/sys/vm/percpu_pagelist_high_fraction
	sleep "${1:-1}"
}

# owners: what the kernel itself says of who allocated some of its pages; of kernels that were
# booted with page_owner=on.
owners() {
	# Each read gives one record, and fails where there is no room for all of it.
	dd if=/sys/kernel/debug/page_owner bs=4096 2>/dev/null |
		awk 'BEGIN { RS = "" } n++ % 150 == 0 { print; print "" }' >/run/owners
	[ -s /run/owners ]
}

# still: the same, with nothing left to be written back.
still() {
	rest 0
	sync
	sleep 1
}
