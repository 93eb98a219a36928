#!/usr/bin/env bash
# Double writing on a real systemd with journald and rsyslogd: `check` names it with its measured cost, `fix syslog` shows, refuses, does and takes back,
# with the kinds of unit and configuration of Debian and of RHEL; files that are synced; a fix that goes wrong half-way.
# It refuses to touch this machine's own logs: all of it is in a container, and /var/log there is a file system of its own.
#
#   run.sh       NODE_STEWARD=BINARY
set -euo pipefail
export CONTAINER_PACKAGES=rsyslog LOG_DISK=512M
. "$(dirname "$0")/../../daemon/inside.sh"
# look: one `check`, kept; it ends with 3 where this container has other faults. found KIND: its problem
look() { inside node-steward check -o json --scratch /run/scratch >"$work/check.json" 2>"$work/check.err" || [ $? = 3 ] || { bad "check: $(tail -n 2 "$work/check.err")"; return 1; }; }
found() { jq -c --arg kind "$1" '.watch.status.problems[] | select(.kind == $kind)' "$work/check.json"; }
number() { found "$1" | jq --arg name "$2" '[.evidence[] | select(.name == $name) | .value][0] // 0'; }
# finds SEVERITY KIND: it is there, with its words
finds() {
    local problem; problem=$(found "$2")
    if [ "$(jq -r .severity <<<"${problem:-null}")" = "$1" ]; then
        ok "$1 $2: $(jq -r .summary <<<"$problem")"
        printf '   advice: %s\n   shown: %s\n' "$(jq -r .advice <<<"$problem")" "$2"
    else
        bad "$1 $2 expected, found ${problem:-nothing}; $(jq -c '.watch.status | [.detectors[], .sources[] | select(.name | test("log"))]' "$work/check.json")"
    fi
}
# Every kind that is reported under the condition of logging, by the generated catalogue.
logging_kinds=$(awk -F' *[|] *' '$4 == "Logging" {printf "%s ", $2}' "$repo/packaging/doc/problems.md")
[ "$(wc -w <<<"$logging_kinds")" -ge 9 ] || { bad "kinds of logging: $logging_kinds"; finish; exit 1; }
# only 'SEVERITY KIND'...: these of the condition of logging and no others, by detectors that could judge
only() {
    local wanted blind
    wanted=$(printf '%s\n' "$@" | sort | sed '/^$/d' | paste -sd ';')
    equal "of logging: ${wanted:-nothing}" "$wanted" "$(jq -r --arg kinds "$logging_kinds" '.watch.status.problems[] | select(.kind as $kind | $kinds | split(" ") | index($kind)) | "\(.severity) \(.kind)"' "$work/check.json" | sort -u | paste -sd ';')"
    blind=$(jq -r '[.watch.status | (.detectors, .sources)[] | select(.name | IN("syslog_active", "syslog_sync", "journal_usage", "journal_corrupted", "journald_unhealthy", "logging", "journal")) | select(.state != "working") | .name] | join(" ")' "$work/check.json")
    equal "and nobody who judges that is blind" "" "$blind"
}
state() { inside systemctl show "$1" -p "$2" --value; }
links() { shell "find /etc/systemd /run/systemd/system -type l -printf '%p -> %l\n' | sort"; }
say_to_log() { inside logger -t logging-test "$1"; }
in_file() { shell "grep -qF '$1' $2"; }
in_journal() { shell "journalctl -t logging-test -o cat --no-pager | grep -qF '$1'"; }
# load: a program that logs for a while, 200 lines a second in a journal stream
load() { inside systemd-run --quiet --collect --unit="load-$RANDOM" sh -c 'for i in $(seq 100); do seq -f "request %g was served in a time that is of no interest to anybody but fills the line up to here" 20; sleep 0.1; done'; }
states() { echo "unit $(state rsyslog ActiveState) $(state rsyslog UnitFileState), socket $(state syslog.socket ActiveState), journald $(state systemd-journald ActiveState), drop-in $(shell 'ls /etc/systemd/journald.conf.d 2>/dev/null | wc -l')"; }

shell 'mkdir -p /var/log/journal /run/scratch /etc/systemd/journald.conf.d && rmdir /var/log/journal && systemctl restart rsyslog'
equal "Debian's rsyslog is what runs" "active enabled" "$(state rsyslog ActiveState) $(state rsyslog UnitFileState)"
equal "and stands behind the alias" "rsyslog.service" "$(state syslog.service Id)"

echo "== volatile journal and rsyslog"
load
sleep 1
look && only
run "the fix is refused where rsyslog keeps the only log" 4 inside node-steward fix syslog --apply
says "and says why" "does not outlive a reboot"

echo "== persistent journal and rsyslog, the Debian kind"
shell 'mkdir -p /var/log/journal && systemd-tmpfiles --create --prefix /var/log/journal && systemctl restart systemd-journald && journalctl --flush'
until_true 10 shell 'ls /var/log/journal/*/system.journal' || bad "no persistent journal"
load
sleep 1
before=$(shell 'stat -c %s /var/log/syslog')
look && finds advice SyslogActive && only 'advice SyslogActive'
grown=$(($(shell 'stat -c %s /var/log/syslog') - before))
[ "$(found SyslogActive | jq -r .subject)" = rsyslog.service ] && ok "it names the real unit" || bad "it names $(found SyslogActive | jq -r .subject)"
rate=$(number SyslogActive "written by rsyslog" | cut -d. -f1) calls=$(number SyslogActive "write calls by rsyslog" | cut -d. -f1)
# Some 120 bytes a line, 200 lines a second; what is counted are pages of 4 KiB that became dirty.
if [ "${calls:-0}" -ge 5 ] && [ "${rate:-0}" -ge 4000 ]; then ok "its cost was measured: $rate bytes and $calls write calls a second; its file grew by $grown bytes meanwhile"; else bad "rate $rate, calls $calls, file grown by $grown"; fi
if [ "$(number SyslogActive "written by systemd-journald" | cut -d. -f1)" -ge 1 ]; then ok "and journald's beside it"; else bad "journald's cost is not there: $(found SyslogActive)"; fi

echo "== the fix: shown, refused, done, taken back"
links >"$work/links.before"
was=$(states)
equal "before" "unit active enabled, socket active, journald active, drop-in 0" "$was"
run "a dry run" 0 inside node-steward fix syslog --dry-run
says "shows the unit" "systemctl disable rsyslog.service"
says "shows the socket" "systemctl stop syslog.socket rsyslog.service"
says "shows the drop-in" "ForwardToSyslog=no"
equal "and changes nothing" "$was" "$(states)"
run "no way to call it by accident" 2 inside node-steward fix syslog
# Not to the journal: what it reads would come round again.
inside systemd-run --quiet --collect --unit=shipper -p StandardOutput=null tail -F /var/log/syslog
until_true 5 inside systemctl is-active --quiet shipper && sleep 0.5
run "refused while somebody reads /var/log/syslog" 4 inside node-steward fix syslog --apply
says "by name" "tail["
look && says_advice=$(found SyslogActive | jq -r .advice) && case $says_advice in *'tail['*' reads /var/log/syslog'*) ok "and the advice names it too" ;; *) bad "advice: $says_advice" ;; esac
inside systemctl stop shipper
shell 'mkdir -p /etc/vector && printf "sources:\n  host:\n    type: file\n    include: [ \"/var/log/*.log\" ]\n" >/etc/vector/vector.yaml'
run "refused while a shipper's configuration names its files" 4 inside node-steward fix syslog --apply
says "by name" "/etc/vector/vector.yaml names /var/log/*.log"
shell 'rm -r /etc/vector; echo "*.* @@127.0.0.1:1" >/etc/rsyslog.d/send.conf; systemctl restart rsyslog'
run "refused while it sends messages on" 4 inside node-steward fix syslog --apply
says "to whom" "sends messages to @@127.0.0.1:1"
shell 'rm /etc/rsyslog.d/send.conf; systemctl restart rsyslog'
equal "and nothing was changed" "$was" "$(states)"
run "applied" 0 inside node-steward fix syslog --apply
equal "the unit is off, the socket too, journald runs" "unit inactive disabled, socket inactive, journald active, drop-in 1" "$(states)"
equal "no link is left of it" "" "$(links | grep rsyslog || :)"
say_to_log after-the-fix
if until_true 5 in_journal after-the-fix; then ok "the journal has what is logged"; else bad "the journal lacks what is logged"; fi
if in_file after-the-fix /var/log/syslog; then bad "and so has /var/log/syslog"; else ok "/var/log/syslog has it no more"; fi
load
sleep 1
look && only
run "applied again" 0 inside node-steward fix syslog --apply
says "there is nothing to do" "nothing to do"
run "taken back" 0 inside node-steward fix syslog --undo
equal "all is as it was" "$was" "$(states)"
links >"$work/links.after"
if diff "$work/links.before" "$work/links.after" >&2; then ok "to the last link"; else bad "links differ"; fi
say_to_log after-the-undo
if until_true 5 in_file after-the-undo /var/log/syslog; then ok "/var/log/syslog has what is logged"; else bad "/var/log/syslog lacks what is logged"; fi
load
sleep 1
look && finds advice SyslogActive && only 'advice SyslogActive'
run "taken back again" 0 inside node-steward fix syslog --undo
says "there is nothing to do" "nothing to do"

echo "== what goes wrong half-way is taken back"
shell 'printf "[Journal]\nForwardToSyslog=yes\n" >/etc/systemd/journald.conf.d/zz-other.conf'
with_other=$(states)
run "another's drop-in has the last word" 1 inside node-steward fix syslog --apply
says "and is named" "/etc/systemd/journald.conf.d/zz-other.conf still says ForwardToSyslog=yes"
equal "all is as it was" "$with_other" "$(states)"
shell 'rm /etc/systemd/journald.conf.d/zz-other.conf'
shell 'mkdir -p /run/systemd/system/rsyslog.service.d && printf "[Unit]\nRefuseManualStop=yes\n" >/run/systemd/system/rsyslog.service.d/x.conf && systemctl daemon-reload'
run "a unit that cannot be stopped" 1 inside node-steward fix syslog --apply
says "is said" "was taken back"
equal "all is as it was" "$was" "$(states)"
shell 'rm -r /run/systemd/system/rsyslog.service.d && systemctl daemon-reload'

echo "== the daemon, within its unit's limits"
shell 'cp /shared/node-steward.service /etc/systemd/system/ && mkdir -p /etc/node-steward/config.d && printf "[watch]\nperiod = \"2s\"\n" >/etc/node-steward/config.d/50-test.toml && systemctl daemon-reload && systemctl start node-steward'
load
problem() { inside node-steward problems -o json | jq -e --arg kind "$1" '[.. | objects | select(.kind? == $kind)] | length > 0'; }
if until_true 20 problem SyslogActive; then ok "it finds SyslogActive"; else bad "status: $(inside node-steward status -o json | jq -c '[.sources[] | select(.name | test("log"))]')"; fi
equal "and sees all that it asks for" "working working" "$(inside node-steward status -o json | jq -r '[.sources[] | select(.name == "logging" or .name == "log_writers") | .state] | join(" ")')"
look && [ "$(jq -r .watch.from "$work/check.json")" = daemon ] && finds advice SyslogActive && only 'advice SyslogActive'
inside systemctl stop node-steward

echo "== files that are synced"
shell "printf '\$ActionFileEnableSync on\n' >/etc/rsyslog.d/00-sync.conf && sed -i 's,-/var/log/syslog,/var/log/syslog,' /etc/rsyslog.conf && systemctl restart rsyslog"
load
sleep 1
look && finds warning SyslogSync && finds advice SyslogActive && only 'warning SyslogSync' 'advice SyslogActive'
# What is buffered reaches the disk later; what is synced at once.
share=$(number SyslogSync "share of the disk's writes by rsyslog")
if [ "$(jq -n "$share > 0 and $share <= 100")" = true ]; then ok "rsyslog's part of what the disk writes: $share %"; else bad "share of the disk: $share"; fi
flushes=$(number SyslogSync "flushes of the disk" | cut -d. -f1)
if [ "${flushes:-0}" -ge 20 ]; then ok "the disk was flushed $flushes times a second"; else bad "the disk was flushed $flushes times a second"; fi
shell "rm /etc/rsyslog.d/00-sync.conf && sed -i 's,\t/var/log/syslog,\t-/var/log/syslog,' /etc/rsyslog.conf && systemctl restart rsyslog"

echo "== the RHEL kind: no alias, imjournal"
shell 'systemctl disable --quiet --now rsyslog && systemctl stop syslog.socket
sed -e "s/^Alias=/;Alias=/" -e "/^Requires=syslog.socket/d" /lib/systemd/system/rsyslog.service >/etc/systemd/system/rsyslog.service
cat >/etc/rsyslog.conf <<END
global(workDirectory="/var/spool/rsyslog")
module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")
module(load="imuxsock"    # provides support for local system logging
       SysSock.Use="off") # Turn off message reception via local log socket;
                          # local messages are retrieved through imjournal now.
module(load="imjournal"             # provides access to the systemd journal
       StateFile="imjournal.state") # File to store the position in the journal
include(file="/etc/rsyslog.d/*.conf" mode="optional")
*.info;mail.none;authpriv.none;cron.none                /var/log/messages
authpriv.*                                              /var/log/secure
END
printf "[Journal]\nForwardToSyslog=no\n" >/etc/systemd/journald.conf.d/10-rhel.conf
systemctl daemon-reload && systemctl restart systemd-journald && systemctl enable --quiet --now rsyslog'
equal "syslog.service is no unit there" "not-found" "$(state syslog.service LoadState)"
links >"$work/links.before"
was=$(states)
say_to_log on-rhel
if until_true 10 in_file on-rhel /var/log/messages; then ok "rsyslog reads the journal"; else bad "rsyslog does not read the journal: $(inside systemctl status rsyslog --no-pager | tail -n 5)"; fi
load
sleep 1
look && finds advice SyslogActive && only 'advice SyslogActive'
case $(found SyslogActive | jq -r .advice) in *'systemctl disable --now rsyslog.service'*) ok "the advice is that of this kind" ;; *) bad "advice: $(found SyslogActive | jq -r .advice)" ;; esac
run "applied" 0 inside node-steward fix syslog --apply
equal "the unit is off" "unit inactive disabled, socket inactive, journald active, drop-in 1" "$(states)"
say_to_log rhel-after-the-fix
sleep 2
if in_file rhel-after-the-fix /var/log/messages; then bad "/var/log/messages still gets messages"; else ok "/var/log/messages gets no more"; fi
look && only
run "taken back" 0 inside node-steward fix syslog --undo
equal "all is as it was" "$was" "$(states)"
links >"$work/links.after"
if diff "$work/links.before" "$work/links.after" >&2; then ok "to the last link"; else bad "links differ"; fi
say_to_log rhel-after-the-undo
if until_true 10 in_file rhel-after-the-undo /var/log/messages; then ok "/var/log/messages has what is logged"; else bad "/var/log/messages lacks what is logged"; fi
finish
