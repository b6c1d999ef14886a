weft plan train.yaml V100-SXM2-16GB --gpus 2 --batch 8 --top 2
