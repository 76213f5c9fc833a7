#!/bin/busybox sh
# The first process of a guest: makes the host's tree the root, read-only with a writable layer
# in memory on top, and hands over to /job. ttyS0 has the kernel's messages, ttyS1 what the
# command writes, ttyS2 its exit status.
/bin/busybox --install -s /bin
export PATH=/bin

fail() {
    echo "guest: $*" >/dev/ttyS1
    poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo

. /load

mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 host /lower || fail "cannot mount the host's tree"
mount -t tmpfs tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root || fail "cannot mount the overlay"

cd /root
for name in proc sys dev; do mount --move /$name /root/$name; done
mkdir -p dev/pts dev/shm lib/modules
mount -t devpts devpts dev/pts
ln -sf /proc/self/fd dev/fd
# Not /tmp: the source tree or what is to run may lie there.
for name in dev/shm run; do mount -t tmpfs tmpfs $name; done
chmod 1777 dev/shm
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t debugfs debugfs sys/kernel/debug
mount -t tracefs tracefs sys/kernel/tracing
mount -t securityfs securityfs sys/kernel/security
ifconfig lo 127.0.0.1 netmask 255.0.0.0 up
echo 1 >proc/sys/kernel/sysrq
hostname guest

cp /job run/job
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec switch_root /root /run/job
