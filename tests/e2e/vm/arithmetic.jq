# What kubelet must come to, from the kernel's figures and the configuration that it was given: capacity, allocatable, and
# the limits of kubepods.slice. It refuses to look at node-steward's own numbers: it is the second opinion on them.

def amount: # a Kubernetes quantity as a number of bytes, or of thousandths for cpu
  tostring | capture("^(?<n>[0-9.]+)(?<s>[A-Za-z]*)$") as $q
  | ($q.n | tonumber) * ({"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1024, "Mi": 1048576, "Gi": 1073741824}[$q.s] // error("unknown suffix " + $q.s));
def milli: tostring | if endswith("m") then .[:-1] | tonumber else tonumber * 1000 end;
def binary: # as kubelet prints a binary quantity: the largest unit that divides it
  def step($units): if . != 0 and . % 1024 == 0 and ($units | length) > 1 then . / 1024 | step($units[1:]) else "\(.)\($units[0])" end;
  step(["", "Ki", "Mi", "Gi", "Ti"]);
def cores: if . % 1000 == 0 then "\(. / 1000)" else "\(.)m" end;
# kubelet keeps a percentage as a 32-bit float: ten per cent is a little more than a tenth.
def float32: if . == 0 then 0 else frexp as [$m, $e] | ($m * 16777216 | round) / 16777216 * pow(2; $e) end;
def threshold($capacity): if endswith("%") then ((.[:-1] | tonumber | float32) / 100 | float32) * $capacity | floor else amount end;
def least0: if . < 0 then 0 else . end;

$machine[0] as $m
| $wanted[0]
| (.evictionHard // {"memory.available": "100Mi", "nodefs.available": "10%"}) as $eviction
| [.kubeReserved // {}, .systemReserved // {}] as $reserved
| ([$reserved[].cpu // empty | milli] | add // 0) as $cpu
| ([$reserved[].memory // empty | amount] | add // 0) as $memory
| ([$reserved[]["ephemeral-storage"] // empty | amount] | add // 0) as $disk
| {
    capacity: {
      cpu: ($m.cores * 1000 | cores), memory: ($m.memory | binary), "ephemeral-storage": ($m.root | binary), pods: "\(.maxPods // 110)"
    },
    allocatable: {
      cpu: ($m.cores * 1000 - $cpu | least0 | cores),
      memory: ($m.memory - $memory - (($eviction["memory.available"] // "0") | threshold($m.memory)) | least0 | binary),
      "ephemeral-storage": ($m.root - $disk - (($eviction["nodefs.available"] // "0") | threshold($m.root)) | least0 | binary),
      pods: "\(.maxPods // 110)"
    },
    kubepods: {
      "memory.max": "\($m.memory - $memory)",
      # shares first, then the linear weight: two integer divisions, as kubelet makes them
      "cpu.weight": "\((($m.cores * 1000 - $cpu) * 1024 / 1000 | floor) as $shares | 1 + (($shares - 2) * 9999 / 262142 | floor))"
    }
  }
