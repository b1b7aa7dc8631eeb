#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# PID 1 of the lab's guests: run the recipe's pieces one after the other, tell
# the host when one fails, and capture ground truth at the end.
/bin/busybox mkdir -p /bin /proc /sys /dev /run /tmp /mnt
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
ulimit -l unlimited
: >/run/events

. /pieces.sh

for module in qemu_fw_cfg nvme crc32c_generic; do
	load $module
done
guest host begin >/dev/null

while read -r line; do
	echo "lab: $line" >/dev/kmsg
	if ! eval "$line"; then
		echo "lab: failed: $line" >/dev/kmsg
		guest host failed "$line" >/dev/null
	fi
done </recipe

echo "lab: truth" >/dev/kmsg
. /truth.sh
guest host failed truth >/dev/null
poweroff -f
