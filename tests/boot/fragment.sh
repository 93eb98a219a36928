#!/usr/bin/env bash
# The NodeConfig fragment that the early run writes on EKS AL2023, judged by nodeadm's own `config check` and by the schema that
# comes with it. nodeadm is built from source once (nodeadm/go.mod pins it) and kept in the cache; TEST_ASSET_NODEADM names another.
# It refuses to take acceptance alone for an answer: fragments that are wrong must be refused. Unknown fields are the one thing
# that nodeadm lets pass; the schema finds those.
set -euo pipefail
. "$(dirname "$0")/words.sh"
need_program
need yq yq || skip "lacks yq"

pin=github.com/awslabs/amazon-eks-ami/nodeadm
version=$(sed -n "s,.*$pin \(v[^ ]*\).*,\1,p" "$boot_dir/nodeadm/go.mod")
nodeadm=${TEST_ASSET_NODEADM:-$NODE_STEWARD_CACHE/nodeadm/$version/nodeadm}
schema=$NODE_STEWARD_CACHE/nodeadm/$version/schema.yaml
if [ ! -x "$nodeadm" ] || [ ! -f "$schema" ]; then
    command -v go >/dev/null 2>&1 || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null 2>&1 || skip "no Go toolchain: cannot build nodeadm $version (or name it in TEST_ASSET_NODEADM)"
    export GOCACHE=$NODE_STEWARD_CACHE/gocache CGO_ENABLED=0 GOFLAGS=-mod=readonly
    mkdir -p "$NODE_STEWARD_CACHE/nodeadm/$version"
    started=$SECONDS
    (cd "$boot_dir/nodeadm" && heavy flock -s "$GOCACHE.lock" nice go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$nodeadm.$$" "$pin/cmd/nodeadm" >&2) ||
        { rm -f "$nodeadm.$$"; say "could not build nodeadm $version"; exit 1; }
    module=$(cd "$boot_dir/nodeadm" && go list -m -f '{{.Dir}}' "$pin")
    cp "$module"/crds/*nodeconfigs.yaml "$schema"; chmod 644 "$schema"
    mv "$nodeadm.$$" "$nodeadm"
    say "built nodeadm $version in $((SECONDS - started)) s"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-fragment.XXXXXX")
trap 'rm -rf "$work"' EXIT
check() { "$nodeadm" config check -c "file://$1"; }
# Keys of FILE under spec.kubelet and above that the schema does not have.
unknown() {
    yq -c '[paths | map(tostring)] | map(select(.[0:3] != ["spec", "kubelet", "config"] or length == 3))' "$1" | jq -r '.[] | join("/")' |
        while read -r path; do
            yq -e --arg path "$path" 'reduce ($path / "/")[] as $key (.spec.versions[0].schema.openAPIV3Schema; .properties[$key])' "$schema" >/dev/null || echo "$path"
        done
}

n=0
# Settings, each of which brings another field into the fragment.
while IFS= read -r settings; do
    n=$((n + 1))
    root=$work/$n
    machine m5.xlarge "$root"
    cp -R "$repo/tests/cases/al2023-first-boot/root/." "$root/"
    rm -rf "$root/etc/node-steward"; mkdir -p "$root/etc/node-steward"
    printf '%b' "$settings" >"$root/etc/node-steward/config.toml"
    run "early run with: $settings" 0 early "$root"
    fragment=$root/etc/eks/nodeadm.d/50-node-steward.yaml
    run "nodeadm takes the fragment" 0 check "$fragment"
    equal "its schema knows every key" '' "$(unknown "$fragment")"
    # nodeadm merges it with what user data holds.
    awk '/^--node-steward/ { body = 0; next } /^Content-Type: application\/node.eks.aws/ { seen = 1 } seen && /^$/ { body = 1; next } body' \
        "$repo/bootstrap/eks-al2023.mime" >"$work/nodeconfig.yaml"
    yq -s '.[0] * .[1]' "$work/nodeconfig.yaml" "$fragment" >"$root/merged.json"
    run "nodeadm takes it with user data" 0 check "$root/merged.json"
done <<'EOF'
[reserve.kube_reserved]\ncpu = "250m"\n
[reserve.system_reserved]\ncpu = "100m"\nmemory = "300Mi"\npid = "1000"\n
[kubelet.eviction_hard]\n"memory.available" = "200Mi"\n[kubelet]\nenforce_node_allocatable = ["pods"]\n
[kubelet]\non_existing = "override"\nkube_reserved_cgroup = "/runtime.slice"\nsystem_reserved_cgroup = "/system.slice"\n
EOF

# What is wrong is refused; the last one by the schema alone.
fragment=$work/2/etc/eks/nodeadm.d/50-node-steward.yaml
sed 's,node.eks.aws/v1alpha1,node.eks.aws/v9,' "$fragment" >"$work/bad-version.yaml"
run "another version is refused" 1 check "$work/bad-version.yaml"
sed 's/^kind: .*/kind: KubeletConfiguration/' "$fragment" >"$work/bad-kind.yaml"
run "another kind is refused" 1 check "$work/bad-kind.yaml"
yq '.spec.kubelet.config = ["kubeReserved"]' "$fragment" >"$work/bad-type.json"
run "a list in place of the map is refused" 1 check "$work/bad-type.json"
head -c 100 "$fragment" | tail -c 40 >"$work/torn.yaml"
run "a torn file is refused" 1 check "$work/torn.yaml"
sed 's/^  kubelet:/  kubelett:/' "$fragment" >"$work/misspelt.yaml"
if [ -n "$(unknown "$work/misspelt.yaml")" ]; then ok "a misspelt key is found by the schema"; else bad "a misspelt key is found by the schema"; fi
finish
