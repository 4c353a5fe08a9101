# Start the service, inspect it from outside, and stop it; print "probe: <what>: <found>" for each result.
# Each begins with a newline, because firmware and kernel leave the cursor anywhere.
say() { printf "\nprobe: %s: %s\n" "$1" "$2"; }
program=/opt/ocp-appliance/bin/ocp-appliance
address=172.16.0.101

# await COMMAND...: repeat it until it succeeds, for two minutes at most.
await() {
	for _ in $(seq 120); do
		"$@" >/dev/null 2>&1 && return
		sleep 1
	done
}
pid_of() { systemctl show -P MainPID "$1"; }
haproxy=ocp-appliance-haproxy
sockets=/run/$haproxy
# ask COMMAND: what HAProxy's worker answers.
ask() {
	/opt/ocp-appliance/bin/python - "$1" <<-'PYTHON'
		import socket, sys
		with socket.socket(socket.AF_UNIX) as worker:
		    worker.connect("/run/ocp-appliance-haproxy/stats.sock")
		    worker.sendall(sys.argv[1].encode() + b"\n")
		    while said := worker.recv(65536):
		        sys.stdout.buffer.write(said)
	PYTHON
}
# The servers' rows have the type 2.
servers() { ask "show stat" | awk -F, '$33 == 2' | wc -l; }
has_servers() { [ "$(servers)" -gt 0 ]; }
state_of() { ask "show stat" | awk -F, -v name="$1" '$2 == name {print $18}' | sort -u | tr '\n' ' '; }
is_maint() { [ "$(state_of "$1")" = "MAINT " ]; }

systemd-sysusers
systemd-tmpfiles --create $haproxy.conf
systemctl start $haproxy.path
say balancer-at-first "$(systemctl is-active $haproxy)"
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
say control "$? $(grep -c '"step":' /tmp/status)"
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
sleep 35
say after-watchdog "$(systemctl is-active ocp-appliance) restarts=$(systemctl show -P NRestarts ocp-appliance)"
say ignition "$(curl -sI --max-time 20 http://$address/worker.ign | sed -n 1p | tr -d '\r')"
# The load balancer
await has_servers
say balancer-started "$(systemctl is-active $haproxy)"
balancer=$(pid_of $haproxy)
worker=$(ask "show info" | sed -n 's/^Pid: //p')
say balancer-user "$(stat -c %U /proc/"$balancer") $(stat -c %U /proc/"$worker")"
say balancer-capabilities "$(sed -n 's/^CapEff:\t//p' /proc/"$worker"/status)"
say balancer-seccomp "$(sed -n 's/^Seccomp:\t//p' /proc/"$worker"/status)"
say balancer-listens "$(ss -Hlnt | awk '{print $4}' | grep -E '172.16.0.11[01]:(80|443|6443|22623)$' | sort | tr '\n' ' ')"
say balancer-files "$(stat -c '%a %G' /var/lib/$haproxy/haproxy.cfg) $(stat -c '%a %G' $sockets/log.sock)"
say balancer-files-of-others "$(setpriv --reuid 65534 --regid 65534 --clear-groups ls /var/lib/$haproxy 2>&1)"
say balancer-trouble "$($program balancer -o json | grep -c '"trouble": ""')"
systemctl restart ocp-appliance
say balancer-after-restart "$(systemctl is-active ocp-appliance) $([ "$(pid_of $haproxy)" = "$balancer" ] && ask "show info" | grep -c "^Pid: $worker$")"
killed=$(pid_of ocp-appliance)
kill -9 "$killed"
is_back() { [ "$(systemctl is-active ocp-appliance)" = active ] && [ "$(pid_of ocp-appliance)" != "$killed" ]; }
await is_back
say balancer-after-kill "$(systemctl is-active ocp-appliance) $([ "$(pid_of $haproxy)" = "$balancer" ] && ask "show info" | grep -c "^Pid: $worker$")"
$program balancer maint w1
await is_maint w1
say balancer-ordered "$(state_of w1)"
# A new host comes with a reload, by the master socket.
before=$(servers)
sed -i 's/^hosts:$/hosts:\n  - {hostname: w9, role: worker, macAddress: "00:50:56:96:99:99", address: 172.16.0.39}/' /etc/ocp-appliance/cluster.yaml
systemctl reload ocp-appliance
has_w9() { ask "show stat" | grep -q ",w9,"; }
await has_w9
say balancer-reloaded "$(($(servers) - before)) $([ "$(pid_of $haproxy)" = "$balancer" ] && echo same)"
before=$(servers)
systemctl restart $haproxy
await has_servers
say balancer-restarted "$(($(servers) - before)) $(state_of w1)"
systemctl stop ocp-appliance
say balancer-alone "$(systemctl is-active $haproxy)"
say stopped "$(systemctl show -P Result ocp-appliance) $(systemctl show -P ExecMainStatus ocp-appliance)"
journalctl -q --no-pager -o cat -u ocp-appliance -u $haproxy | sed 's/^/journal: /'
say end ok
poweroff -f
