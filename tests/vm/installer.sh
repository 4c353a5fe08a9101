#!/bin/busybox sh
# The stand-in installer: /init of an initramfs. It reads coreos.inst.* and
# coreos.live.* from the kernel command line, and sends the web server the requests
# of the RHCOS installers, in the same order (openshift-docs; coreos-installer):
#   live (4.6+)    HEAD rootfs until there is an answer, GET rootfs, GET Ignition
#   legacy (4.5)   HEAD image, GET Ignition, GET image
# The stand-in rootfs is the disk image itself, which a real rootfs contains.

/bin/busybox mkdir -p /proc /sys /dev /tmp /etc
/bin/busybox mount -t devtmpfs devtmpfs /dev
tty=/dev/ttyS0
[ ! -c /dev/ttyAMA0 ] || tty=/dev/ttyAMA0 # on arm64
exec </dev/null >$tty 2>&1
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys

say() { echo "installer: $*"; }
stop() { say "EMERGENCY: $*"; sleep 86400; }

# Where to write the Ignition configuration: after the image, where the test looks for it.
IGNITION_OFFSET_KIB=32768

by_dhcp() {
    udhcpc -q -n -t 20 -T 1 -i eth0 -s /udhcpc.sh || stop "no address"
    . /tmp/lease
    say "address $ip router $router dns $dns hostname $hostname"
    # nslookup of BusyBox prints "11.0.16.172.in-addr.arpa name = bs.example."
    say "reverse name $(nslookup "$ip" | sed -n 's/.*name = //p')"
}

say "command line: $(cat /proc/cmdline)"
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
say "lockdown $(cat /sys/kernel/security/lockdown 2>/dev/null)"
for word in $(cat /proc/cmdline); do
    case "$word" in
        coreos.inst.install_dev=*) disk=${word#*=} ;;
        coreos.inst.image_url=*) image_url=${word#*=} ;;
        coreos.inst.ignition_url=*) ignition_url=${word#*=} ;;
        coreos.live.rootfs_url=*) rootfs_url=${word#*=} ;;
        ip=\[*) static6=${word#*[} ;;
    esac
done
[ -n "$disk" ] || stop "no coreos.inst.install_dev"
[ -n "$ignition_url" ] || stop "no coreos.inst.ignition_url"
case "$disk" in /dev/*) ;; *) disk=/dev/$disk ;; esac

for module in $(cat /modules); do insmod "/$module" || stop "insmod $module"; done
tries=0
until [ -e /sys/class/net/eth0 ] && [ -b "$disk" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || stop "no eth0, or no $disk"
    usleep 100000
done

echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad # addresses of IPv6 can be used at once
ip link set eth0 up
if [ -n "$static6" ]; then
    # BusyBox has no DHCPv6 client.
    ip -6 addr add "${static6%%]*}/64" dev eth0 || stop "no address"
    say "address ${static6%%]*}"
else
    by_dhcp
fi

# fetch URL FILE: like coreos-installer, retry forever after 5xx or without a connection, and stop after 4xx.
fetch() {
    until wget -q -O "$2" "$1" 2>/tmp/why; do
        why=$(cat /tmp/why)
        say "GET $1: $why"
        case "$why" in *"error: HTTP/1."?" 4"*) stop "$why" ;; esac
        sleep 2
    done
    say "GET $1: $(wc -c <"$2") bytes"
}

# Send HEAD with nc, because wget of BusyBox only supports GET and POST. Fails without an answer.
head_of() {
    hostport=${1#http://}
    path=/${hostport#*/}
    hostport=${hostport%%/*}
    port=80
    host=${hostport%%:*}
    case "$hostport" in
        \[*) host=${hostport%%]*} host=${host#[} ;; # an address of IPv6
        *:*) port=${hostport#*:} ;;
    esac
    # Keep the pipe open until the server closes: asyncio drops a client that half-closes the connection.
    rm -f /tmp/request
    mkfifo /tmp/request
    nc -w 10 "$host" "$port" </tmp/request >/tmp/answer &
    exec 3>/tmp/request
    printf 'HEAD %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$hostport" >&3
    wait $!
    exec 3>&-
    tr -d '\r' </tmp/answer >/tmp/head
    say "HEAD $1: $(sed -n 1p /tmp/head), $(grep -i '^content-length:' /tmp/head)"
    [ -s /tmp/head ]
}
must_have() { head_of "$1" && grep -q '^HTTP/1.. 200' /tmp/head || stop "no $1"; }

if [ -n "$rootfs_url" ]; then
    until head_of "$rootfs_url"; do sleep 2; done
    must_have "$rootfs_url"
    fetch "$rootfs_url" /tmp/image
    fetch "$ignition_url" /tmp/ignition
else
    [ -n "$image_url" ] || stop "neither coreos.live.rootfs_url nor coreos.inst.image_url"
    must_have "$image_url"
    fetch "$ignition_url" /tmp/ignition
    fetch "$image_url" /tmp/image
fi

zcat /tmp/image | dd of="$disk" bs=64k 2>/dev/null || stop "cannot write $disk"
dd if=/tmp/ignition of="$disk" bs=1k seek=$IGNITION_OFFSET_KIB 2>/dev/null || stop "cannot write $disk"
sync
say "installed on $disk; rebooting"
reboot -f
