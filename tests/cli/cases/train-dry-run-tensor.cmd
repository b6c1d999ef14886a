weft train train.yaml --dry-run parallel.tensor=2 parallel.data=2 parallel.pipeline=2 parallel.shard=weights "optimizer.frozen=embedding.*"
