# Start the service, inspect it from outside, and stop it; print "probe: <what>: <found>" for each result.
# Each begins with a newline, because firmware and kernel leave the cursor anywhere.
say() { printf "\nprobe: %s: %s\n" "$1" "$2"; }
program=/opt/ocp-appliance/bin/ocp-appliance
address=172.16.0.101

systemctl start ocp-appliance
say started "$(systemctl is-active ocp-appliance)"
pid=$(systemctl show -P MainPID ocp-appliance)
say status-text "$(systemctl show -P StatusText ocp-appliance)"
say user "$(stat -c %U /proc/"$pid")"
say capabilities "$(sed -n 's/^CapEff:\t//p' /proc/"$pid"/status)"
say may-gain "$(sed -n 's/^NoNewPrivs:\t//p' /proc/"$pid"/status)"
say seccomp "$(sed -n 's/^Seccomp:\t//p' /proc/"$pid"/status)"
say dns "$(dig +short +tries=1 +time=10 @$address m1.ocp45.example.localdomain)"
say http "$(curl -sI --max-time 20 http://$address/pxeboot.ipxe | sed -n 1p | tr -d '\r')"
# UDP 67 and 69 only answer machines, so check that they are open: a wrong unit could prevent that.
say udp "$(ss -Hlnu | awk '{print $4}' | sed 's/.*://' | sort -un | tr '\n' ' ')"
$program status -o json >/tmp/status 2>&1
say control "$? $(grep -c '"host":' /tmp/status)"
[ "$(grep -c "host" /tmp/status)" -gt 0 ] || cat /tmp/status
say state "$(find /var/lib/private/ocp-appliance -name '*.db' | wc -l)"
say state-of-others "$(setpriv --reuid 65534 --regid 65534 --clear-groups ls /var/lib/ocp-appliance/ 2>&1)"
# As in docs/install.md, from a file with the mode that openshift-install gives it.
echo '{"ignition":{"version":"3.2.0"}}' >/tmp/worker.ign
chmod 0640 /tmp/worker.ign
install -D -m 0644 -t /var/lib/ocp-appliance/ignition/ /tmp/worker.ign
systemctl reload ocp-appliance
reloaded=$?
# The service tells systemd that it reloads once the signal has reached it, which may be after the command.
for _ in $(seq 60); do
	[ "$(systemctl is-active ocp-appliance)" = reloading ] || break
	sleep 1
done
say reloaded "$reloaded $(systemctl is-active ocp-appliance)"
# More than two watchdog intervals, which init.sh has shortened.
sleep 12
say after-watchdog "$(systemctl is-active ocp-appliance) restarts=$(systemctl show -P NRestarts ocp-appliance)"
say ignition "$(curl -sI --max-time 20 http://$address/worker.ign | sed -n 1p | tr -d '\r')"
systemctl stop ocp-appliance
say stopped "$(systemctl show -P Result ocp-appliance) $(systemctl show -P ExecMainStatus ocp-appliance)"
journalctl -q --no-pager -o cat -u ocp-appliance | sed 's/^/journal: /'
say end ok
poweroff -f
