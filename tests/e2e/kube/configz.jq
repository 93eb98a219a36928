# Compares kubelet's two /configz answers with what was written. It knows JSON merge patches and kubelet's omitted
# zero values, and no key of kubelet's configuration by name, so it cannot be lenient with any.

# RFC 7386, which is how kubelet merges drop-ins.
def patch($p):
  if ($p | type) != "object" then $p
  else reduce ($p | keys_unsorted[]) as $k (if type == "object" then . else {} end;
    if $p[$k] == null then del(.[$k]) else .[$k] = (.[$k] | patch($p[$k])) end)
  end;
# Lists are values: a drop-in replaces them whole.
def leaves: [paths(type != "object" or . == {})] | map(select(all(.[]; type == "string")));
def bare: del(.kind, .apiVersion);
def zero: . == null or . == false or . == 0 or . == "" or . == [] or . == {} or . == "0s";
def same($a; $b): $a == $b or (($a | zero) and ($b | zero));
def at($path): try getpath($path) catch null;

($base[0] | bare) as $base
| ($lab[0] | bare) as $lab
| ($main[0] | bare) as $main
| (reduce $written[0][] as $w ({}; . * ($w | bare))) as $dropins
| (reduce $written[0][] as $w ($main; patch($w | bare))) as $wanted
# What node-steward wrote: the drop-ins' values, and what the main file has that the base had not.
| ([$dropins | leaves[]] + [$main | leaves[] as $p | select(($main | at($p)) != ($base | at($p))) | $p] | unique) as $paths
| ($lab | leaves) as $labs
| $before[0] as $b | $after[0] as $a
| {
    written: $paths,
    lab: $labs,
    missing: [$paths[] as $p | select(($labs | index([$p])) == null)
      | select(same($wanted | at($p); $a | at($p)) | not)
      | {path: ($p | join(".")), written: ($wanted | at($p)), reported: ($a | at($p))}],
    strays: [($a | leaves) + ($b | leaves) | unique[] as $p | select(same($a | at($p); $b | at($p)) | not)
      | select(($paths | index([$p])) == null and all($paths[]; . as $w | $p[:($w | length)] != $w))
      | {path: ($p | join(".")), before: ($b | at($p)), after: ($a | at($p))}],
    laboratory: [$wanted | leaves[] as $p | select(same($wanted | at($p); $a | at($p)) | not)
      | select(($labs | index([$p])) != null) | $p],
    unexplained: [$wanted | leaves[] as $p | select(same($wanted | at($p); $a | at($p)) | not)
      | select(($labs | index([$p])) == null) | {path: ($p | join(".")), wanted: ($wanted | at($p)), reported: ($a | at($p))}]
  }
