# Runs in the guest for recommend.sh: a slice with load for each run, its cgroups shown as those of a node of its own, and the lab over all of them.
# It refuses to go on where the load does not run.
set -u
runs=$(cat runs)
chmod +x recommend-lab
lab=/run/lab
mkdir -p $lab
# Follows the number of containers with small processes, 5 MiB each: one for four containers, besides a few. Two thirds of a reading are enough for that.
cat >$lab/small.pl <<'END'
my ($file, $base) = @ARGV;
my @children;
$SIG{CHLD} = 'IGNORE';
while (1) {
    open(my $in, '<', $file) or (select(undef, undef, undef, 0.2), next);
    my $wanted = $base + int((<$in> // 0) / 4);
    close $in;
    while (@children < $wanted) {
        my $pid = fork() // die;
        if (!$pid) { my $held = ''; vec($held, (5 << 20) - 1, 8) = 1; sleep 3600; exit }
        push @children, $pid;
    }
    kill 'KILL', pop @children while @children > $wanted;
    select(undef, undef, undef, 0.2);
}
END
# Leaks until it has so much, or until the next boot, and ends; systemd starts it again.
cat >$lab/leaky.pl <<'END'
my ($file, $most, $pause) = @ARGV;
sub boot { open(my $in, '<', $file) or return ''; return <$in> // '' }
my ($boot, @held) = boot();
while (@held < $most && boot() eq $boot) { push @held, 'x' x (1 << 20); select(undef, undef, undef, $pause * (0.7 + rand 0.6)) }
END
# Writes and reads files: page cache, more than all the rest.
cat >$lab/cache.pl <<'END'
my ($file, $mib) = @ARGV;
my $block = 'c' x (1 << 20);
while (1) {
    open(my $out, '>', $file) or die; print $out $block for 1 .. $mib; close $out;
    for (1 .. 2) { open(my $in, '<', $file) or die; 1 while sysread($in, my $some, 1 << 20); close $in; sleep 12 }
}
END
# The daemon, half a minute before the hour, on the remains of a history.
chmod +x node-steward
kept=/var/lib/node-steward/history.json
mkdir -p /etc/node-steward/config.d /var/lib/node-steward
printf '[reserve.measured]\nkeep = true\nleast_history = "15m"\n' >/etc/node-steward/config.d/50-lab.toml
printf 'half a {' >$kept
date -s '2026-11-20 10:59:30' >/dev/null
daemon() { RUNTIME_DIRECTORY=/run/node-steward ./node-steward run >>$lab/daemon.log 2>&1 & daemon=$!; }
# Points of a history: each begins with its minute.
points() { tr ']' '\n' <"$1" | grep -cE '^[^0-9]*(.*"history":\[\[|.*"points":\[\[)?2[0-9]{7},[0-9]+,[0-9]+,'; }
daemon
mkdir -p /var/tmp/lab /run/systemd/system /results
for load in small leaky cache; do
    cat >/run/systemd/system/$load@.service <<END
[Unit]
StartLimitIntervalSec=0
[Service]
Slice=lab-%i.slice
MemoryAccounting=yes
CPUAccounting=yes
EnvironmentFile=$lab/%i/$load
ExecStart=/usr/bin/perl $lab/$load.pl \$WORDS
Restart=always
RestartSec=100ms
END
done
units=()
for run in $(seq "$runs"); do
    dir=$lab/$run
    mkdir -p "$dir/root/proc/self" "$dir/root/sys/fs/cgroup"
    echo 16 >"$dir/containers"
    echo 1 >"$dir/boot"
    echo '1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw' >"$dir/root/proc/self/mountinfo"
    # Every fourth leaks without an end, 1 MiB in about 25 minutes of the lab; the others are ended by their limit after some hours.
    if [ $((run % 4)) = 0 ]; then most=100000 pause=1.$((run % 8 + 2)); else most=$((24 + run * 7 % 40)) pause=0.$((2 + run % 3)); fi
    echo "WORDS=$dir/containers $((8 + run % 7))" >"$dir/small"
    echo "WORDS=$dir/boot $most $pause" >"$dir/leaky"
    echo "WORDS=/var/tmp/lab/$run $((16 + run % 16))" >"$dir/cache"
    units+=("small@$run" "leaky@$run" "cache@$run")
done
systemctl daemon-reload
systemctl start "${units[@]}" || exit 1
for run in $(seq "$runs"); do
    cgroup=$lab/$run/root/sys/fs/cgroup
    mount --bind "/sys/fs/cgroup/lab.slice/lab-$run.slice" "$cgroup" || { echo "FAILED: no slice for run $run"; exit 1; }
    [ -e "$cgroup/memory.current" ] || { echo "FAILED: memory is not counted in lab-$run.slice"; exit 1; }
done
sleep 3
echo "the load runs $(cut -d. -f1 /proc/uptime) s after the boot"
passed=0 failed=0
ok() { passed=$((passed + 1)); printf 'ok %s\n' "$*"; }
bad() { failed=$((failed + 1)); printf 'FAILED %s\n' "$*"; }
if ./recommend-lab $lab "$runs"; then ok "at least 19 of 20 covered, leaks named"; else bad "the recommendation"; fi
status() { ./node-steward status --width 160; }
if [ -e $kept.unreadable ] && [ "$(cat $kept.unreadable)" = 'half a {' ] && grep -q 'history.json: .*set aside as' $lab/daemon.log; then ok "a history that cannot be read is set aside, and the log says so"; else bad "the bad history: $(ls /var/lib/node-steward) $(tail -n 3 $lab/daemon.log)"; fi
if [ "$(points $kept)" -ge 2 ]; then ok "a new one is kept since the hour was full: $(points $kept) points"; else bad "kept: $(head -c 300 $kept)"; fi
status >$lab/status
if grep -q '^Reservations by ' $lab/status && grep -Eq '^systemReserved +memory +MiB +0 +[1-9]' $lab/status; then ok "status shows what the history says"; else bad "status: $(cat $lab/status)"; fi
cp $lab/status /results/status
before=$(points /run/node-steward/state.json)
kill -9 $daemon
wait $daemon 2>/dev/null
daemon
sleep 8
status >$lab/status
kill $daemon
wait $daemon || bad "the daemon ended with $?"
# It has saved what it knows at its end.
after=$(points /run/node-steward/state.json)
if [ "$before" -ge 2 ] && [ "$after" -ge "$before" ] && grep -q '^Reservations by ' $lab/status; then ok "killed and started anew it has its $before points"; else bad "before it was killed $before points, afterwards $after"; fi
cp $lab/daemon.log /results/
# The profile by what the daemon itself has kept, and what it gives to paste.
amounts() { grep -oE '"(kube|system)Reserved":\{[^}]*\}' | head -n 2 | grep -oE '"memory":"[^"]*"' | paste -sd' '; }
told=$(./node-steward recommend -o json | amounts)
./node-steward recommend >/results/recommend
measured=$(./node-steward reserve --profile measured -o json 2>/results/measured.err | amounts)
sed -n '/^\[reserve\]/,$p' /results/recommend >/etc/node-steward/config.d/60-pasted.toml
pasted=$(./node-steward config check >/results/check && ./node-steward reserve -o json | amounts)
if [ -n "$told" ] && [ "$told" = "$measured" ] && [ "$told" = "$pasted" ]; then ok "profile measured and the settings to paste give what was recommended: $told"; else bad "recommended $told, measured $measured, pasted $pasted; $(cat /results/check /results/measured.err)"; fi
broken=$(systemctl list-units --state=failed --plain --no-legend 'small@*' 'leaky@*' 'cache@*' | wc -l)
if [ "$broken" = 0 ]; then ok "every load ran"; else bad "$broken loads have failed"; fi
restarts=$(for run in $(seq "$runs"); do [ $((run % 4)) = 0 ] || systemctl show "leaky@$run" -p NRestarts --value; done | sort -n | head -n 1)
if [ "$restarts" -ge 2 ]; then ok "each leaky process with a limit was started again at least $restarts times"; else bad "a leaky process was started again only $restarts times"; fi
cache=$(awk '$1 == "file" {print int($2 / 1048576)}' /sys/fs/cgroup/lab.slice/memory.stat)
if [ "$cache" -ge $((runs * 5)) ]; then ok "page cache in the slices at the end: $cache MiB"; else bad "only $cache MiB of page cache: there is nothing to be told apart"; fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
