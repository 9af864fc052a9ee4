#!/bin/sh
# Makes the root of a test the root of a PID 1. What runs in it may ask a kernel to power off, so nothing starts that could
# reach the host's: it has neither the host's user namespace, nor a real /proc, nor the right to mount one.
set -eu
root=$1 terminal=$2 outside=$3 limit=$4
die() {
    echo "stage: $*"
    exit 1
}

[ $$ -eq 1 ] || die "not PID 1"
[ "$(readlink /proc/self/ns/user)" != "$outside" ] || die "no user namespace"
[ -f "$root/proc/sysrq-trigger" ] || die "no /proc/sysrq-trigger of its own"
[ ! -e "$root/proc/1" ] || die "a real /proc"

mount --bind /dev/null "$root/dev/null"
mount --bind "$terminal" "$root/dev/console"
mount --bind "$terminal" "$root/dev/ttyS0"
[ -z "$limit" ] || prlimit --pid $$ --nproc="$limit"
exec setpriv --bounding-set=-sys_admin,-mknod,-sys_module,-sys_rawio chroot "$root" /init
