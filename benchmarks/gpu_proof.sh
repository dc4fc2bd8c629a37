#!/usr/bin/env bash
# Proves the code for GPUs on a machine that has one, without network: one JSON and one table.
# usage: benchmarks/gpu_proof.sh [--out FOLDER] [--pictures FOLDER] [--seconds N] [--real [--hours N]]
# needs: nvcc, cmake and ninja or make for the CUDA code; a Python with torch, timm, onnx, onnxruntime, OpenCV and pydantic
# for the model, and with diffusers, transformers and accelerate for the teacher. Wheels of what a machine lacks are taken
# from .proof/wheels, photographs from .proof/pictures, doctest and nlohmann-json from .proof/include, ViT-S/14's weights, if
# wanted, from .proof/weights/*.safetensors. What cannot be done is left out, and said so; what fails, or is ended by its time
# limit, is written down and stops nothing else. Ends with 1 if something failed.
# --real builds engines with the TensorRT or TensorRT-RTX that Python has, and runs them with libdpiqa, which takes NvInfer.h
# and the library from where the system or TensorRT_ROOT has them, and pybind11. It takes up to 300 s more; --hours adds hours
# of 64 cameras.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/gpu_proof pictures=$root/.proof/pictures seconds= real=no hours=0
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2; shift 2 ;;
        --pictures) pictures=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --real) real=yes; shift ;;
        --hours) hours=$2; shift 2 ;;
        *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
    esac
done
real_seconds=0
if [ "$real" = yes ]; then real_seconds=$((300 + hours * 3600)); fi
seconds=${seconds:-$((480 + real_seconds))}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cores=$(nproc)
python=$(command -v python3) || { echo "gpu_proof.sh needs a python3" >&2; exit 2; }
export PATH=$PATH:/usr/local/cuda/bin:$("$python" -c 'import os, sys; print(os.path.dirname(sys.executable))')

collect() { # the part just made, or nothing for the whole table
    "$python" "$root/benchmarks/gpu/collect.py" --work "$work" --out "$out/gpu_proof.json" "$@"
}

leave_out() { echo "$1" >> "$work/left_out.txt"; echo "left out: $1"; }

attempt() { # name, most seconds, command: its standard output and errors are kept, and how it ended
    local name=$1 limit=$2 code=0 began=$SECONDS left=$((seconds - SECONDS))
    shift 2
    if [ "$left" -lt 8 ]; then leave_out "$name: the time was over"; return; fi
    if [ "$limit" -gt "$left" ]; then limit=$left; fi
    timeout -k 3 "$limit" "$@" > "$work/$name.out" 2> "$work/$name.err" < /dev/null || code=$?
    echo "$code $((SECONDS - began)) $limit" > "$work/$name.end"
}

record() { # name of an attempt that is over: into the JSON with it; returns how it ended
    local code took limit
    if [ ! -f "$work/$1.end" ]; then return 1; fi
    read -r code took limit < "$work/$1.end"
    echo "$1 $code $took $limit" >> "$work/parts.txt"
    { echo "== $1: exit status $code, $took s"; tail -n 40 "$work/$1.err"; } >> "$out/gpu_proof.log"
    collect --part "$1"
    return "$code"
}

part() { # as attempt, and recorded
    attempt "$@"
    record "$1"
}

has_modules() { # names: all of them can be found
    "$python" - "$@" <<'PY'
import importlib.util, sys
lacking = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(*lacking, sep=", ")
sys.exit(bool(lacking))
PY
}

unpack_wheels() { # into a folder on Python's path, where the machine lacks something that they bring
    local tag wheel
    if has_modules pydantic diffusers > /dev/null || ! ls "$root"/.proof/wheels/*.whl > /dev/null 2>&1; then return; fi
    tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    for wheel in "$root"/.proof/wheels/*.whl; do
        case $wheel in *-py3-none-any.whl | *-"$tag"-*) "$python" -m zipfile -e "$wheel" "$work/site" ;; esac
    done
}

build() { # source folder, build folder, options
    local generator=() arch
    if command -v ninja > /dev/null; then generator=(-G Ninja); fi
    arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d '. ')
    case $arch in '' | *[!0-9]*) arch=90 ;; esac
    cmake -S "$root/$1" -B "$work/$2" "${generator[@]}" -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="$arch" \
        -DCMAKE_INCLUDE_PATH="$root/.proof/include" "${@:3}" && cmake --build "$work/$2" -j "$cores" &&
        echo "{\"section\": \"build\", \"arch\": \"sm_$arch\", \"options\": \"${*:3}\", \"passed\": true}"
}

start_build() { # beside the model's part, whose first seconds need no GPU
    if ! nvcc=$(command -v nvcc); then
        leave_out "the CUDA preprocessing: no nvcc"
    elif ! command -v cmake > /dev/null; then
        leave_out "the CUDA preprocessing: no cmake"
    else
        build_command="$(declare -f build); root='$root' work='$work' nvcc='$nvcc' cores=$cores; build"
        attempt build 120 bash -c "$build_command benchmarks/gpu build -DDPIQA_WERROR=ON" &
        build_job=$!
    fi
}

preprocessing() {
    if [ -z "${build_job:-}" ]; then return; fi
    wait "$build_job"
    record build || part build_with_warnings 90 bash -c "$build_command benchmarks/gpu build -DDPIQA_WERROR=OFF" || return
    program=$work/build/gpu_preprocess
    if ! $has_gpu; then leave_out "running the CUDA preprocessing: no GPU"; return; fi
    part preprocess 90 "$program"
    engine
    sanitize memcheck 60
}

engine() { # the engine's logic on the fake TensorRT
    if [ ! -x "$work/build/gpu_engine" ]; then
        leave_out "the engine's logic: no doctest and nlohmann-json (.proof/include)"
        return
    fi
    engine_command="'$work/build/gpu_engine' >&2 && echo '{\"section\": \"engine\", \"passed\": true}'"
    part engine 60 bash -c "$engine_command"
}

sanitize() { # tool, most seconds
    local sanitizer
    if [ -z "${program:-}" ] || ! $has_gpu; then return; fi
    if ! sanitizer=$(command -v compute-sanitizer); then
        leave_out "$1: no compute-sanitizer"
        return
    fi
    part "$1" "$2" "$sanitizer" --tool "$1" --error-exitcode 9 "$program" --quick
}

python_part() { # name, most seconds, modules it needs, script, arguments
    local name=$1 limit=$2 modules=$3 script=$4 lacking
    shift 4
    # shellcheck disable=SC2086
    if ! lacking=$(has_modules $modules); then leave_out "$name: Python lacks $lacking"; return; fi
    if [ "$limit" -gt $((seconds - SECONDS)) ]; then limit=$((seconds - SECONDS)); fi
    part "$name" "$limit" "$python" "$root/benchmarks/gpu/$script.py" --out "$work/$name.json" \
        --seconds $((limit > 12 ? limit - 8 : 4)) "$@"
}

core() { # libdpiqa with TensorRT as the Python module, into the package that the parts import
    local native=$work/site/dpiqa/native lacking
    if ! $has_gpu || [ -z "${build_command:-}" ]; then return; fi # real.py says what it lacks
    if ! lacking=$(has_modules pybind11); then leave_out "libdpiqa with TensorRT: Python lacks $lacking"; return; fi
    attempt core 200 bash -c "$build_command . core -DDPIQA_BUILD_PYTHON=ON -DDPIQA_WITH_TENSORRT=ON -DDPIQA_WITH_OPENVINO=OFF \
        -DDPIQA_WITH_EXECUTORCH=OFF -DPython_EXECUTABLE='$python' -Dpybind11_DIR='$("$python" -m pybind11 --cmakedir)'"
    if grep -q "Could NOT find TensorRT" "$work/core.err" 2> /dev/null; then
        leave_out "libdpiqa with TensorRT: no NvInfer.h with its library (TensorRT_ROOT names where they lie)"
    elif record core; then
        rm "$native" && mkdir "$native"
        ln -s "$root"/cpp_bindings/python/dpiqa/native/* "$work"/core/cpp_bindings/_core*.so "$native/"
    fi
}

: > "$out/gpu_proof.log"
has_gpu=false
if [[ $(nvidia-smi -L 2> /dev/null) == *GPU* ]] || [ -e /dev/nvidia0 ]; then has_gpu=true; fi
unpack_wheels
# The package as it lies in the clone: nothing is installed here.
mkdir -p "$work/site/dpiqa"
ln -sfn "$root"/cpp_bindings/python/dpiqa/* "$root"/{runtime,train,export} "$work/site/dpiqa/"
export PYTHONPATH=$work/site PYTHONUNBUFFERED=1
if ! $has_gpu; then export OMP_NUM_THREADS=$((cores > 3 ? cores / 2 : 1)); fi
start_build
basics="torch timm onnx onnxruntime cv2 pydantic" training="accelerate matplotlib pandas scipy"
python_part model 75 "$basics" model --pictures "$pictures"
preprocessing
if [ "$real" = yes ]; then
    core
    python_part real "$real_seconds" "$basics av rich typer pandas scipy matplotlib" real --pictures "$pictures" --hours "$hours"
else
    leave_out "engines of a real TensorRT: only with --real"
fi
python_part teacher 160 "$basics $training diffusers transformers" teacher
sanitize racecheck 40
sanitize initcheck 40
weights=$(ls "$root"/.proof/weights/*.safetensors 2> /dev/null | head -n 1)
python_part vit "$seconds" "$basics $training" teacher --prior vit-s --pictures "$pictures" ${weights:+--weights "$weights"}
collect --table "$out/gpu_proof.txt"
