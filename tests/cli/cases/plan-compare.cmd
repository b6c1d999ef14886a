weft plan plan/model.yaml plan/cluster.yaml --gpus 16,32 --batch 32,64 --compare breadth-first,depth-first,1f1b
