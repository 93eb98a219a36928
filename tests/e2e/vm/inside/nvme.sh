# Runs in the guest for nvme.sh: looks, does what the advice says, looks again. It refuses to go on without the disk that calls itself an EBS volume.
set -u
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok $1"; }
bad() { failed=$((failed + 1)); echo "FAILED $1"; }
chmod +x node-steward
look() { ./node-steward run --once --dry-run -o json >turn.json 2>turn.err || bad "run --once: $(tail -n 1 turn.err)"; }
found() { jq -c --arg kind "$1" --arg subject "$2" '.problems[] | select(.kind == $kind and .subject == $subject)' turn.json; }
# finds SEVERITY KIND SUBJECT [*]
finds() {
    local problem; problem=$(found "$2" "$3")
    [ "$(jq -r .severity <<<"$problem")" = "$1" ] || { bad "$1 $2 $3 expected, found: ${problem:-nothing}; $(jq -c '[.problems[] | [.kind, .subject]], .detectors' turn.json | head -c 900)"; return; }
    ok "$1 $2: $(jq -r .summary <<<"$problem")"
    printf 'shown: %s\n   advice: %s\n' "$2${4:+ $4}" "$(jq -r .advice <<<"$problem")"
}
silent() { local problem; problem=$(found "$1" "$2"); if [ -z "$problem" ]; then ok "no $1 $2$3"; else bad "$1 $2$3: $problem"; fi; }

# The kernel's own target, on a file, by the transport that stays within the machine.
modprobe -a nvmet nvme-loop || { echo "FAILED this kernel has no NVMe target"; exit 1; }
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
target=/sys/kernel/config/nvmet volume=/sys/kernel/config/nvmet/subsystems/volume
mkdir "$volume"
echo 1 >"$volume/attr_allow_any_host"
printf 'Amazon Elastic Block Store' >"$volume/attr_model"
printf 'vol0123456789abcdef0' >"$volume/attr_serial"
truncate -s 64M /var/tmp/volume
mkdir "$volume/namespaces/1"
echo 1 >"$volume/namespaces/1/buffered_io"
echo /var/tmp/volume >"$volume/namespaces/1/device_path"
echo 1 >"$volume/namespaces/1/enable"
mkdir "$target/ports/1"
echo loop >"$target/ports/1/addr_trtype"
ln -s "$volume" "$target/ports/1/subsystems/volume"
printf 'transport=loop,nqn=volume' >/dev/nvme-fabrics
disk=''
for _ in $(seq 100); do
    for one in /sys/block/nvme*n*; do
        [ "$(xargs <"$one/device/model")" != "Amazon Elastic Block Store" ] || disk=$(basename "$one")
    done
    [ -z "$disk" ] || break
    sleep 0.1
done
[ -n "$disk" ] || { echo "FAILED no disk of the target: $(ls /sys/block) $(dmesg | tail -n 3)"; exit 1; }
echo "$disk is a $(xargs <"/sys/block/$disk/device/model") of $(uname -r)'s target"

look
finds critical NvmeHealth nvme0
finds advice ImageOutdated image
standing=$(jq -r '.detectors[] | select(.name == "ebs") | "\(.state): \(.why)"' turn.json)
case $standing in unknown:*) ok "the page that it does not have is not taken for a good one: $standing" ;; *) bad "ebs: $standing" ;; esac
controller=${disk%n*}
silent NvmeHealth "$controller" ", whose page has no warning"
silent IoTimeoutMisconfigured nvme0n1 ", which is no EBS volume"
date -u +%Y-%m-%d >/etc/node-steward/image-built
look
silent ImageOutdated image " on an image of today"
# Amazon's page, from a controller that has one: a program, behind the kernel's driver for NVMe over TCP. The other disk has none, which would keep the
# detector from judging.
echo 1 >"/sys/class/nvme/$controller/delete_controller"
modprobe nvme-tcp || { echo "FAILED this kernel has no NVMe over TCP"; exit 1; }
pids=()
trap 'kill "${pids[@]}" 2>/dev/null' EXIT
# attach PORT MODEL SERIAL MAGIC FILE
attach() {
    python3 target.py "$@" >>target.log 2>&1 &
    pids+=($!)
    for _ in $(seq 100); do
        printf 'transport=tcp,traddr=127.0.0.1,trsvcid=%s,nqn=nqn.2014-08.org.nvmexpress:%s' "$1" "$3" 2>/dev/null >/dev/nvme-fabrics && return
        sleep 0.2
    done
    bad "no controller $2: $(tail -n 3 target.log; dmesg | tail -n 3)"
}
calm='0 0 0 0 1'
echo "$calm" >/run/volume
echo "$calm" >/run/store
attach 4420 'Amazon Elastic Block Store' vol0fedcba9876543210 0x3C23B510 /run/volume
attach 4421 'Amazon EC2 NVMe Instance Storage' AWS0123456789ABCDEF0 0xEC2C0D7E /run/store
cat >lab.toml <<'END'
[watch]
period = "2s"
[detect.ebs]
window = "2s"
warn_windows = 1
warn_among = 1
clear_windows = 1
[detect.disk_latency_high]
window = "2s"
windows = 1
among = 1
clear_windows = 1
END
mkdir -p /run/node-steward
RUNTIME_DIRECTORY=/run/node-steward ./node-steward run --config lab.toml >daemon.log 2>&1 &
pids+=($!)
limits='DiskLatencyHigh|EbsInstanceIopsExceeded|EbsInstanceThroughputExceeded|EbsVolumeIopsExceeded|EbsVolumeThroughputExceeded|InstanceStoreIopsExceeded|InstanceStoreThroughputExceeded'
problems() { ./node-steward problems -o json 2>/dev/null | jq -r --arg kinds "$limits" '.problems[] | select(.kind | test("^(" + $kinds + ")$")) | "\(.severity) \(.kind)"' | sort -u | paste -sd,; }
# within SECONDS EXPECTED WHAT
within() {
    local seen end=$((SECONDS + $1))
    until seen=$(problems); [ "$seen" = "$2" ] || [ $SECONDS -ge $end ]; do sleep 1; done
    if [ "$seen" = "$2" ]; then ok "$3: ${seen:-nothing}"; else bad "$3: expected ${2:-nothing}, found ${seen:-nothing}; $(./node-steward status -o json | jq -c '.detectors[] | select(.name == "ebs" or .name == "disk_latency_high")'; tail -n 3 daemon.log target.log)"; return 1; fi
}
standing() { ./node-steward status -o json 2>/dev/null | jq -r '.detectors[]? | select(.name == "ebs").state'; }
for _ in $(seq 60); do [ "$(standing)" != working ] || break; sleep 0.5; done
if [ "$(standing)" = working ]; then ok "both pages are read by ioctl"; else bad "ebs: $(standing)"; fi
# The timeout is the kernel's own of this transport, as of PCI.
volume=$(for one in /sys/block/nvme*n*; do [ "$(xargs <"$one/device/model")" != "Amazon Elastic Block Store" ] || basename "$one"; done)
look
finds advice IoTimeoutMisconfigured "$volume" '*'
echo 4294967295 >"/sys/block/$volume/queue/io_timeout" || bad "the advice cannot be followed"
look
silent IoTimeoutMisconfigured "$volume" " after what the advice says"
sleep 15
within 1 '' "calm counters, calm findings"
echo '900 900 900 900 300' >/run/volume
echo '0 0 900 900 1' >/run/store
if within 45 'warning DiskLatencyHigh,warning EbsInstanceIopsExceeded,warning EbsInstanceThroughputExceeded,warning EbsVolumeIopsExceeded,warning EbsVolumeThroughputExceeded,warning InstanceStoreIopsExceeded,warning InstanceStoreThroughputExceeded' "limits exceeded for nine tenths of the time, and reads of 300 ms"; then
    tr '|' '\n' <<<"$limits" | sed 's/.*/shown: & */'
    ./node-steward problems -o json | jq -r --arg kinds "$limits" '.problems[] | select(.kind | test("^(" + $kinds + ")$")) | "   " + .summary'
fi
echo "$calm" | tee /run/volume >/run/store
within 60 '' "calm again"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
