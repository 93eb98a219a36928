#!/usr/bin/env bash
# Builds the static release that packages hold: musl, no interpreter, no shared library. Prints the program's path.
# It refuses to hand out a binary that names an interpreter or needs a library. The default cargo build needs none of this:
# the Rust target and the C compiler for musl are fetched here, where they are missing and can be had.
#
#   static.sh     into target/MACHINE-unknown-linux-musl/release/node-steward (below CARGO_TARGET_DIR where that is set)
#
# Reproducible as far as paths go: neither the checkout's place nor cargo's home is in the program.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
need cargo cargo || skip "no Rust toolchain"
need readelf binutils || skip "lacks readelf"

target=$(uname -m)-unknown-linux-musl
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target" >&2 ||
    skip "lacks the Rust target $target, and rustup cannot add it"
# Only where a crate compiles C (ring does); the linker is Rust's own.
need musl-gcc musl-tools || skip "lacks musl-gcc: a crate's C cannot be compiled for musl"

export "CC_${target//-/_}=musl-gcc"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo -C link-arg=-Wl,-T,$PWD/packaging/seldom.ld --cfg seldom_apart"
# Names that say for which types a generic function was made: seldom.ld goes by them.
RUSTFLAGS="$RUSTFLAGS -C symbol-mangling-version=v0"
export RUSTFLAGS
nice cargo build --locked --release --bin node-steward --target "$target" >&2

program=$CARGO_TARGET_DIR/$target/release/node-steward
if readelf -lW "$program" | grep -q INTERP || readelf -dW "$program" | grep -q NEEDED; then
    say "$program is not static"
    exit 1
fi
echo "$program"
