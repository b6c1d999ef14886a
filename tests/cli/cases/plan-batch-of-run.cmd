for batch in '' '{microbatches: 3}' '{sequences: 2}' '{microbatches: 3, sequences: 2}'; do
    sed -e "s/^batch:.*/${batch:+batch: $batch}/" -e '$a parallel: {data: 2}' train.yaml >run.yaml
    weft plan run.yaml V100-SXM2-16GB --gpus 2 --top 1 --screen-only | grep '^step'
done
weft plan run.yaml V100-SXM2-16GB --gpus 2 --top 1 --screen-only --batch 8 | grep '^step'
weft plan run.yaml V100-SXM2-16GB --gpus 2 --screen-only --software zero-3 | grep '^step'
