#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# PID 1 of the kernel that runs when another has panicked: saves the dump, has it
# audited by the hook as after the next boot, and tells the host all that it left.
/bin/busybox mkdir -p /proc /sys /dev /tmp /var/crash
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
echo "capture: $(uname -r), $(awk '/MemFree/ { print $2 }' /proc/meminfo) kB free" >/dev/kmsg
mount -t ext4 /dev/nvme0n1 /var/crash || poweroff -f
dir=/var/crash/$(date +%Y%m%d%H%M)
mkdir -p "$dir"
makedumpfile -l --message-level 1 -d 31 /proc/vmcore "$dir/dump" &&
	mv "$dir/dump" "$dir/dump.${dir##*/}"
sync
echo "capture: saved, $(cut -d ' ' -f 1 /proc/uptime) s after its boot" >/dev/kmsg
# Nobody is asked for anything.
kdump-hook
echo "capture: audited, $(cut -d ' ' -f 1 /proc/uptime) s after its boot" >/dev/kmsg
cd "$dir" || poweroff -f
ls -l >listing
{
	echo capture-begin
	tar cz listing pageaudit.* | base64
	echo capture-end
} >/dev/console
sync
poweroff -f
