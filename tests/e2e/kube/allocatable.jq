# Compares a predicted allocatable with a Node's, resource by resource, as exact numbers and as text. It prints "ok ..."
# or "bad ..." lines and refuses a quantity whose suffix it does not know.

def milli:
  tostring | capture("^(?<n>[0-9]+)(?<s>[A-Za-z]*)$") as $q
  | ($q.n | tonumber) * ({"m": 1, "": 1000, "k": 1e6, "M": 1e9, "G": 1e12, "T": 1e15,
      "Ki": 1024000, "Mi": 1048576000, "Gi": 1073741824000, "Ti": 1099511627776000}[$q.s] // error("unknown suffix " + $q.s));

($predicted[0] | .allocatable // .) as $want
| $node[0].status as $status
| if ($want | length) == 0 then "bad the prediction names no resource" else
    $want | to_entries[] | .key as $r | .value as $w | $status.allocatable[$r] as $is
    | if $is == null then "bad \($r): predicted \($w), the Node reports none"
      elif ($is | milli) != ($w | milli) then "bad \($r): predicted \($w), allocatable \($is), capacity \($status.capacity[$r])"
      elif $is != $w then "bad \($r): the same amount, but predicted as \($w) and reported as \($is)"
      else "ok \($r): predicted \($w), allocatable \($is), capacity \($status.capacity[$r])" end
  end
