#!/usr/bin/env bash
# Cross-builds libdpiqa for 64-bit Arm, then runs its tests and the C example under qemu with OpenVINO's aarch64 wheel.
# The golden vectors that the tests compare with are the x86 ones, and the shipped models must give a frame the score of
# the x86 build of the same example: FP32 within 0.1, INT8 within 1 (sums that kernels round differently flip levels, as
# they do between ONNX Runtime and OpenVINO on x86). About a minute a model, emulated.
# usage: cpp_bindings/run_aarch64.sh [BUILD_FOLDER]
# needs: a Python with openvino and nlohmann-json; apt install g++-aarch64-linux-gnu qemu-user doctest-dev nlohmann-json3-dev cmake ninja-build
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

cmake -S "$root" -B "$build/host" -G Ninja -DDPIQA_WITH_TENSORRT=OFF
cmake --build "$build/host"
cmake --install "$build/host" --prefix "$build/host-prefix" > /dev/null
cmake -S "$root/examples" -B "$build/host-examples" -G Ninja -DCMAKE_PREFIX_PATH="$build/host-prefix"
cmake --build "$build/host-examples"

width=640 height=480
python3 - $width $height > "$build/frame.nv12" << 'FRAME'
import math, random, sys
width, height = int(sys.argv[1]), int(sys.argv[2])
random.seed(0)
luma = bytes(
    int(120 + 60 * math.sin(x / 23) * math.cos(y / 31) + 20 * math.sin(x * y / 997) + random.gauss(0, 4))
    for y in range(height) for x in range(width)
)
sys.stdout.buffer.write(luma + bytes(128 + (i // 97) % 24 - 12 for i in range(width * height // 2)))
FRAME
for model in "$root"/models/*.onnx; do
    here=$("$build/host-examples/score_nv12" "$model" $width $height < "$build/frame.nv12")
    there=$($arm "$build/examples/score_nv12" "$model" $width $height < "$build/frame.nv12")
    python3 - "$(basename "$model")" "$here" "$there" << 'COMPARE'
import json, sys
x86, arm = (json.loads(line)["score"] for line in sys.argv[2:])
print(f"{sys.argv[1]}: x86-64 {x86:.3f}, aarch64 {arm:.3f}")
sys.exit(abs(x86 - arm) > (1 if "int8" in sys.argv[1] else 0.1))
COMPARE
done
