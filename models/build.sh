#!/usr/bin/env bash
# From fetched data to the files in this folder:
#
#   bash models/build.sh BIQ2021 CLIVE PRISTINE HELD_OUT [RUN]
#
# BIQ2021  folder with Images/ and the two CSV files
# CLIVE    ChallengeDB_release (LIVE in the Wild), used for testing only
# PRISTINE folder of good photographs to make faults on, beside the best-rated training pictures (CLIC 2025)
# HELD_OUT folder of other good photographs, to test order and causes on (CID22's originals, or gb82's)
# RUN      where everything is made; an unfinished run there goes on (default runs/dpiqa-lite0)
#
# Nothing in this folder changes before all of it is made and both models have passed their gates.
set -euo pipefail
cd "$(dirname "$0")/.."
biq=$1 clive=$2 pristine=$3 held_out=$4 run=${5:-runs/dpiqa-lite0}
fp32=$run/dpiqa-lite0.onnx int8=$run/dpiqa-lite0-int8.onnx results=$run/results
mkdir -p "$results"

# The score from ratings alone; then causes and map from made faults, while trunk and score stay as they are.
python -m train.student --data "biq2021=$biq" --split official --no-bf16 --out "$run/1"
python -m train.student --start "$run/1/best.pt" --freeze --data "biq2021=$biq" --split official \
  --faults 0.6 --pristine "$pristine" --lr 2e-3 --crop 320 --out "$run/2"
python -m export.onnx --checkpoint "$run/2/best.pt" --version 0.2.0 --licence Apache-2.0 --out "$fp32"
python -m export.int8 --model "$fp32" --calibration "biq2021=$biq" --method percentile --auto-repair \
  --report "$run/int8.html" --out "$int8"
for number in 1 2; do
  mkdir -p "$results/run-$number"
  cp "$run/$number/"{log.csv,run.json,history.png} "$results/run-$number"
done
python -m train.near_duplicates --training "biq2021=$biq" --training "$(basename "$pristine")=$pristine" \
  --test "clive=$clive" --test "$(basename "$held_out")=$held_out" --out "$results/near_duplicates.json"
told=()
for model in "$fp32" "$int8"; do
  name=$(basename "$model" .onnx)
  against=()
  [ "$model" = "$fp32" ] || against=(--reference "$fp32")
  python -m train.evaluate --json --model "$model" --data "biq2021=$biq" --split official --plots "$results" \
    "${against[@]}" > "$results/$name-biq2021.json"
  python -m train.evaluate --json --model "$model" --data "clive=$clive" --split all --plots "$results" \
    "${against[@]}" > "$results/$name-clive.json"
  python -m train.order --model "$model" --pictures "$held_out" --engine onnxruntime --out "$results/$name-order.csv"
  told+=(--order "models/results/$name-order.csv")
  told+=(--evaluation "models/results/$name-biq2021.json" --evaluation "models/results/$name-clive.json")
done

cp "$fp32" "$int8" models/
cp -r "$results" models/
python -m export.card --model "models/$(basename "$fp32")" --model "models/$(basename "$int8")" "${told[@]}" \
  --run models/results/run-1 --run models/results/run-2 --targets models/targets.csv --notes models/notes.md \
  --out models/README.md
