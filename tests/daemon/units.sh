#!/usr/bin/env bash
# Units under a real systemd in a container, asked over the real bus and, with the bus gone, over systemd's own socket: one that has failed, one that is
# started again and again, one that somebody restarts, and all of them well. It refuses to touch this machine's own units.
set -euo pipefail
. "$(dirname "$0")/inside.sh"
# unit NAME COMMAND [MORE]
unit() { printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=%s\n%b\n' "$2" "${3:-}" | inside tee "/run/systemd/system/$1" >/dev/null; }
# A machine under load may answer after the probe's patience, which is unknown and not well: then again. A systemd whose bus has just gone or come back
# may be silent for as long as its own calls to that bus last, 25 s.
look() {
    local end=$((SECONDS + 90))
    while [ $SECONDS -lt $end ]; do
        inside node-steward run --once --dry-run -o json >"$work/turn.json" 2>"$work/turn.err" || bad "run --once: $(tail -n 1 "$work/turn.err")"
        [ "$(standing)" != working ] || return 0
        jq -r '.detectors[] | select(.name == "units") | "note: units unknown: \(.why)"' "$work/turn.json"
        sleep 1
    done
}
found() { jq -r '.problems[] | select(.kind | startswith("Unit")) | "\(.severity) \(.kind) \(.subject)"' "$work/turn.json" | sort | tr '\n' ';'; }
standing() { jq -r '.detectors[] | select(.name == "units").state' "$work/turn.json"; }

unit kubelet.service '/usr/bin/sleep infinity'
unit containerd.service '/usr/bin/sleep infinity' 'Restart=always\nRestartSec=0'
inside systemctl daemon-reload
inside systemctl start kubelet containerd

echo "== well"
look
equal "nothing is wrong with units that run" "" "$(found)"
equal "and the detector has looked" working "$(standing)"

echo "== failed"
unit kubelet.service "/bin/sh -c 'exit 7'"
inside systemctl daemon-reload
inside systemctl restart kubelet || :
until_true 5 inside systemctl is-failed kubelet || bad "kubelet has not failed"
look
equal "a kubelet that systemd has given up" "critical UnitFailed kubelet.service;" "$(found)"
[ -z "$(found)" ] || shown UnitFailed
said=$(jq -r '.problems[] | select(.kind == "UnitFailed") | .summary' "$work/turn.json")
equal "in words" "kubelet.service ended with status 7, and systemd has given it up" "$said"
inside systemctl stop dbus.socket dbus.service
if inside test -S /run/dbus/system_bus_socket && inside busctl status >/dev/null 2>&1; then bad "the bus is still there"; fi
look
equal "the same without a bus" "critical UnitFailed kubelet.service;" "$(found)"
inside systemctl start dbus.socket
unit kubelet.service '/usr/bin/sleep infinity'
inside systemctl daemon-reload
# What the advice says.
inside sh -c 'systemctl reset-failed kubelet.service && systemctl start kubelet.service'
look
equal "and it is gone after what the advice says" "" "$(found)"

echo "== flapping"
inside mkdir -p /etc/node-steward
printf '[watch]\nperiod = "2s"\n[detect.units]\nwindow = "100s"\n' | inside tee /etc/node-steward/config.toml >/dev/null
inside cp /shared/node-steward.service /etc/systemd/system/
inside systemctl daemon-reload
inside systemctl start node-steward
state() { inside node-steward status -o json | jq -r --arg name units '.sources[] | select(.name == $name).state'; }
seen() { [ "$(state)" = working ]; }
until_true 20 seen || bad "the daemon has not asked for units: $(state)"
now() { inside node-steward status -o json | jq -r '.problems[] | select(.kind | startswith("Unit")) | "\(.severity) \(.kind) \(.subject)"' | sort | tr '\n' ';'; }
equal "nothing is flapping at first" "" "$(now)"
for _ in 1 2 3 4; do
    inside systemctl kill --signal=KILL containerd
    sleep 1
done
# Somebody who restarts a unit by hand is no reason for alarm.
for _ in 1 2 3 4; do inside systemctl restart kubelet; done
equal "systemd has started it again" 4 "$(inside systemctl show containerd -p NRestarts --value)"
flaps() { [ "$(now)" = "warning UnitFlapping containerd.service;" ]; }
if until_true 90 flaps; then shown UnitFlapping; ok "containerd flaps, kubelet does not: $(inside node-steward status -o json | jq -r '.problems[] | select(.kind == "UnitFlapping").summary')"; else bad "found: $(now)"; fi
gone() { [ -z "$(now)" ]; }
if until_true 200 gone; then ok "and is well again when it was quiet for the window"; else bad "it did not end: $(now)"; fi
if inside journalctl -u node-steward -o cat --no-pager | grep -q 'UnitFlapping'; then ok "the journal has it"; else bad "no line in the journal"; fi
finish
