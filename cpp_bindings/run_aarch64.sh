#!/usr/bin/env bash
# Cross-builds libdpiqa for 64-bit Arm, then runs its tests and the C example under qemu with OpenVINO's aarch64 wheel.
# The golden vectors that the tests compare with are the x86 ones.
# usage: cpp_bindings/run_aarch64.sh [BUILD_FOLDER]
# needs: apt install g++-aarch64-linux-gnu qemu-user doctest-dev nlohmann-json3-dev cmake ninja-build; python3 with pip
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/aarch64}
version=$(sed -n 's/^openvino==//p' "$root/constraints.txt")
arm="qemu-aarch64 -cpu cortex-a76 -L /usr/aarch64-linux-gnu"

if [ ! -d "$build/openvino" ]; then
    python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_31_aarch64 --platform manylinux_2_34_aarch64 --platform manylinux_2_35_aarch64 \
        --platform manylinux_2_28_aarch64 --dest "$build/wheel" "openvino==$version"
    python3 -m zipfile -e "$build"/wheel/openvino-*.whl "$build"
fi

cmake -S "$root" -B "$build/core" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake" \
    -DOpenVINO_DIR="$build/openvino/cmake" -DDPIQA_WITH_TENSORRT=OFF -DDPIQA_BUILD_TESTS=ON -DDPIQA_WERROR=ON
cmake --build "$build/core"
cmake --install "$build/core" --prefix "$build/prefix" > /dev/null

$arm "$build/core/tests/cpp_bindings/dpiqa_tests"
cmake -S "$root/examples" -B "$build/examples" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake" \
    -Ddpiqa_DIR="$build/prefix/lib/cmake/dpiqa"
cmake --build "$build/examples"
head -c 18432 /dev/zero | tr '\0' '\200' |
    $arm "$build/examples/score_nv12" "$root/tests/cpp_bindings/data/tiny.onnx" 96 64
