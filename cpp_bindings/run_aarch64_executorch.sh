#!/usr/bin/env bash
# Cross-builds libdpiqa with ExecuTorch alone for 64-bit Arm, runs its tests under qemu, and makes the firmware bundle.
# With DPIQA_SYSROOT (the unpacked root of an older arm64 system with its libc6-dev and libstdc++-dev, such as Debian 11's)
# the library is built with clang for that system's C and C++ libraries; the tests need none of its packages beyond those.
# usage: cpp_bindings/run_aarch64_executorch.sh [BUILD_FOLDER]
# needs: Python with pip and nlohmann-json; apt install g++-aarch64-linux-gnu qemu-user doctest-dev cmake ninja-build
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/aarch64-executorch}
version=$(sed -n 's/^executorch==//p' "$root/constraints.txt")

if [ ! -d "$build/executorch" ]; then
    python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_aarch64 --dest "$build/wheel" "executorch==$version"
    python3 -m zipfile -e "$build"/wheel/executorch-*.whl "$build"
fi
cmake -S "$root" -B "$build/core" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake" \
    -DDPIQA_WITH_OPENVINO=OFF -DDPIQA_WITH_TENSORRT=OFF -DDPIQA_WITH_EXECUTORCH=ON -DEXECUTORCH_ROOT="$build/executorch" \
    -DDPIQA_BUILD_TESTS=ON -DDPIQA_WERROR=ON
cmake --build "$build/core"
qemu-aarch64 -cpu cortex-a76 -L "${DPIQA_SYSROOT:-/usr/aarch64-linux-gnu}" "$build/core/tests/cpp_bindings/dpiqa_tests"
cmake --install "$build/core" --component firmware --prefix "$build/firmware"
