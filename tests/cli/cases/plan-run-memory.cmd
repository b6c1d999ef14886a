weft plan train.yaml V100-SXM2-16GB --gpus 2 --batch 8 --top 1 --explain 1 | sed -n '/^memory of/,/^all/p'
