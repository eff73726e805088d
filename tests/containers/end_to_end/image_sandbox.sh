#!/bin/sh
# Runs a program as its image would: the root read-only, /scratch alone to write to, no network, no capability, uid 10001.
#   image_sandbox.sh <root> <files of the image> <read-only host directories, ":" between> <command> …
# Called within `unshare --mount --pid --net --fork`.
set -eu
root=$1 files=$2 shared=$3
shift 3

mount --make-rprivate /
mount -t tmpfs -o mode=0755 none "$root"
cp -R "$files"/. "$root"/

IFS=:
for directory in $shared; do
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
    mount -o remount,bind,ro "$root$directory"
done
unset IFS
for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then cp -P "/$name" "$root/$name"; fi
done

mkdir -p "$root/etc" "$root/proc" "$root/dev/shm" "$root/scratch" "$root/tmp"
cp /etc/ld.so.cache "$root/etc/"
echo 'etl:x:10001:10001::/nonexistent:/usr/sbin/nologin' > "$root/etc/passwd"
echo 'etl:x:10001:' > "$root/etc/group"
for name in null zero urandom; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mount -t tmpfs -o mode=1777 none "$root/dev/shm"
mount -t tmpfs -o uid=10001,gid=10001,mode=0711,size=1g none "$root/scratch"
mount -t proc none "$root/proc"
mount -o remount,ro "$root"

# the image has no such program: what gives up the rights is the host's
exec chroot "$root" /usr/bin/setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all /usr/bin/env -C /scratch "$@"
