# What a process sees of its container; each line is compared (test_comparison.py).
section() { echo "== $1"; }
me=$$
section mounts; cat /proc/$me/mountinfo
section status; grep -v -e '^Vm' -e '^Rss' -e ctxt -e '[Pp]id:' -e '^NS' -e '^Tgid' -e SigQ -e Mems_all /proc/$me/status
section limits; cat /proc/$me/limits
section namespaces; for n in cgroup ipc mnt net pid time user uts; do echo "$n $(readlink /proc/$me/ns/$n)"; done
section descriptors; for f in /proc/$me/fd/*; do echo "${f##*/} $(readlink $f)"; done
section environment; tr '\0' '\n' </proc/$me/environ
section command; tr '\0' ' ' </proc/$me/cmdline; echo; cat /proc/$me/comm
section directory; readlink /proc/$me/cwd; readlink /proc/$me/root
section groups; cat /proc/$me/cgroup
section devices
for f in /dev/* /dev/pts/*; do [ -L $f ] && echo "$f -> $(readlink $f)" || stat -c '%n %a %u %g %F %t:%T' $f; done
section modes
for f in / /proc /dev /dev/pts /dev/shm /dev/mqueue /sys /sys/fs/cgroup /dev/console /root /tmp /made/by/mount /made/file; do
    stat -c '%n %a %u %g %F' $f 2>&1
done
section kernel
for f in kernel/hostname kernel/domainname kernel/shmmax kernel/msgmax net/ipv4/ip_forward net/ipv4/ping_group_range \
    net/ipv4/ip_unprivileged_port_start; do
    echo "$f $(cat /proc/sys/$f)"
done
section attributes
for f in oom_score_adj personality coredump_filter setgroups uid_map gid_map loginuid timens_offsets; do
    echo "$f $(cat /proc/$me/$f 2>&1)"
done
umask
echo "nice, policy: $(cut -d' ' -f19,41 /proc/$me/stat)"
[ "$(cut -d' ' -f1 /proc/$me/stat)" = "$(cut -d' ' -f6 /proc/$me/stat)" ] && echo "leads its session"
section keyring; awk '{print $5, $6, $7, $8, $9}' /proc/keys 2>&1 | sort
section masks
for f in /proc/acpi /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware /proc/interrupts; do
    if [ -d $f ]; then echo "$f $(ls -A $f | wc -l)"; elif [ -e $f ]; then echo "$f $(head -c 10 $f 2>&1 | wc -c)"; else echo "$f none"; fi
done
for f in /proc/sys/kernel/shmmax /proc/sysrq-trigger /sys/kernel/mm/ksm/run /written /dev/written /tmp/written \
    /proc/irq/default_smp_affinity /made/by/mount/written; do
    (: >>$f) 2>/dev/null && echo "writes $f" || echo "refuses $f"
done
section system
unshare -U true 2>&1
mount -t tmpfs t /tmp 2>&1
dmesg 2>&1 | head -n 1 | sed "s,^\[.*,has lines," | cut -c 1-20
ip link 2>&1 | grep -v -e link/ | sed 's/^[0-9]*: //'
chroot / true 2>&1
mknod /tmp/kmem c 1 2 2>&1 && head -c 1 /tmp/kmem 2>&1
tty
head -c 3 /dev/zero | wc -c
