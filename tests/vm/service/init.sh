#!/bin/busybox sh
# /init of a machine that runs the system of this computer under systemd, read-only with
# an overlay in memory, and with the appliance installed as docs/install.md says.

/bin/busybox mkdir -p /proc /sys /dev /lower /layer /new
/bin/busybox mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/ttyS0 2>&1
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for word in $(cat /proc/cmdline); do
    case "$word" in
        probe.venv=*) venv=${word#*=} ;;
        probe.project=*) project=${word#*=} ;;
    esac
done
for module in $(cat /modules); do insmod "/$module" || echo "init: no $module"; done

# layered LOWER TARGET: mount LOWER at TARGET, writable.
mount -t tmpfs tmpfs /layer
layered() {
    mkdir -p "/layer$2/upper" "/layer$2/work" "$2"
    mount -t overlay -o "lowerdir=$1,upperdir=/layer$2/upper,workdir=/layer$2/work" overlay "$2"
}
mount -t virtiofs -o ro host /lower
layered /lower /new
layered "/lower$venv" /new/opt/ocp-appliance
sed -i '1s,.*,#!/opt/ocp-appliance/bin/python,' /new/opt/ocp-appliance/bin/ocp-appliance

# With this file systemd assumes that it runs in a container, and ignores the kernel command line.
rm -f /new/.dockerenv
units=/new/etc/systemd/system
rm -rf $units /new/var/lib/ocp-appliance /new/var/lib/private
mkdir -p $units/ocp-appliance.service.d /new/etc/ocp-appliance
: >/new/etc/machine-id
: >/new/etc/fstab
cp "/new$project"/systemd/ocp-appliance*.service "/new$project/systemd/ocp-appliance-haproxy.path" $units/
cp "/new$project/systemd/ocp-appliance.service.d/haproxy.conf" $units/ocp-appliance.service.d/
cp -r "/new$project/systemd/sysusers.d" "/new$project/systemd/tmpfiles.d" /new/etc/
rm -rf /new/var/lib/ocp-appliance-haproxy /new/run/ocp-appliance-haproxy
sed 's/engine: external/engine: haproxy/' "/new$project/data/ocp45/cluster.yaml" >/new/etc/ocp-appliance/cluster.yaml
cp "/new$project/tests/vm/service/probe.sh" /new/etc/probe.sh
# Emulation is slow; a short watchdog interval shows that the watchdog is notified; and the
# appliance needs its address.
cat >$units/ocp-appliance.service.d/emulated.conf <<'UNIT'
[Unit]
Requires=card.service
After=card.service
[Service]
TimeoutStartSec=300s
WatchdogSec=15s
UNIT
mkdir -p $units/ocp-appliance-haproxy.service.d
cat >$units/ocp-appliance-haproxy.service.d/emulated.conf <<'UNIT'
[Service]
TimeoutStartSec=300s
UNIT
cat >$units/card.service <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip link set lo up
ExecStart=/sbin/ip link add card type dummy
ExecStart=/sbin/ip addr add 172.16.0.101/24 dev card
ExecStart=/sbin/ip addr add 172.16.0.110/24 dev card
ExecStart=/sbin/ip addr add 172.16.0.111/24 dev card
ExecStart=/sbin/ip link set card up
UNIT
cat >$units/probe.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=dbus.service
Wants=dbus.service
[Service]
Type=oneshot
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStart=/bin/sh /etc/probe.sh
UNIT
printf '[Unit]\nRequires=probe.service\n' >$units/probe.target
# Units that the test does not need only take time.
for unit in tmpfiles-setup tmpfiles-setup-dev udev-trigger udevd sysctl journal-flush update-utmp sysusers; do
    ln -s /dev/null $units/systemd-$unit.service
done

umount /proc /sys
mount --move /dev /new/dev
exec switch_root /new /lib/systemd/systemd
