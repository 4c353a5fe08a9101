#!/bin/sh
# udhcpc runs this with each lease: it configures eth0 and saves the options for the installer.
case "$1" in
    bound | renew)
        ip addr flush dev eth0
        ip addr add "$ip/$mask" dev eth0
        [ -z "$router" ] || ip route replace default via "${router%% *}" dev eth0
        for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
        for name in ip router dns hostname; do eval "echo $name=\'\$$name\'"; done >/tmp/lease
        ;;
esac
