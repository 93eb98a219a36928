#!/usr/bin/env bash
# Builds the four skeletons (kube-rs or hyper alone; static musl or glibc), once per state of this folder and compiler, and
# prints the directory that holds them. It refuses to call a binary static that names an interpreter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
need cargo cargo || skip "no Rust toolchain"
need cc gcc || skip "no C compiler for ring"
need readelf binutils || skip "lacks readelf"
machine=$(uname -m)

key=$({ cat "$here/Cargo.toml" "$here/Cargo.lock" "$here"/src/*.rs "$0"; rustc -vV; } | sha256sum | cut -c1-16)
out=$NODE_STEWARD_CACHE/ground/$key
mkdir -p "$NODE_STEWARD_CACHE/ground"
exec 7>"$NODE_STEWARD_CACHE/ground/build.lock"
flock 7
if [ -f "$out/done" ]; then echo "$out"; exit 0; fi
find "$NODE_STEWARD_CACHE/ground" -mindepth 1 -maxdepth 1 -type d -name '????????????????' -mtime +1 -exec rm -rf {} +

musl=$machine-unknown-linux-musl gnu=$machine-unknown-linux-gnu
installed_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ]; }
installed_target || rustup target add "$musl" >&2 || skip "lacks the Rust target $musl, and rustup cannot add it"
need musl-gcc musl-tools || skip "lacks musl-gcc, ring's C cannot be compiled for musl"
export "CC_${musl//-/_}=musl-gcc"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$NODE_STEWARD_CACHE/ground/target}

mkdir -p "$out"
for client in kube hyper; do
    features=()
    [ $client = hyper ] || features=(--features kube)
    for target in "$musl" "$gnu"; do
        binary=$out/$client-${target##*-} start=$SECONDS
        # The lock is not for the compiler: a build server that it leaves behind must not hold it.
        nice cargo build --manifest-path "$here/Cargo.toml" --locked --release --target "$target" ${features[@]+"${features[@]}"} >"$binary.log" 2>&1 7>&- ||
            { tail -n 20 "$binary.log" >&2; say "could not build $client for $target"; exit 1; }
        cp "$CARGO_TARGET_DIR/$target/release/ground" "$binary"
        say "ground: ${binary##*/} in $((SECONDS - start)) s"
    done
done
for client in kube hyper; do
    if readelf -lW "$out/$client-musl" | grep -q INTERP; then say "$client-musl names an interpreter: not static"; exit 1; fi
    mv "$out/$client-gnu" "$out/$client-glibc"
done
touch "$out/done"
echo "$out"
