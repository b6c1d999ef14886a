{
    one="model.layers=1 batch.microbatches=1 batch.sequences=1"
    weft train train.yaml --dry-run $one batch.tokens=1
    weft train train.yaml $one run.steps=1 data.held_out=0
    weft sweep train.yaml microbatch=1 $one --steps 1 --warmup 1 --svg sweep.svg
    for kind in gpipe 1f1b; do
        weft simulate $kind --pipeline 1 --microbatches 1
        weft rehearse $kind --pipeline 1 --microbatches 1 --unit us --forward 9 --backward 9 --steps 1 --svg $kind.svg
    done
    weft config train.yaml $one >one.yaml
    weft plan one.yaml V100-SXM2-16GB --gpus 1 --batch 1 --explain 1
    weft plan plan/model.yaml plan/cluster.yaml --gpus 1 --batch 1 --screen-only
    weft plan plan/model.yaml V100-SXM2-16GB --gpus 9 --batch 1 --top 1 --explain 1
    weft plan plan/model.yaml plan/cluster.yaml --gpus 4 --batch 1 --fix data=2
    weft train train.yaml model.context=1439 batch.tokens=1439 run.folder=new
    printf '0F0,0B0\n' >one.csv
    weft train train.yaml parallel.schedule=one.csv
    weft simulate dualpipe-v --pipeline 1 --microbatches 1
    weft simulate zb-v --pipeline 1 --loops 1 --microbatches 1
    grep '<text' ./*.svg
} >all 2>&1
grep -Eo '(^|[ >])1 (stage|rank|micro-batch|sequence|token|layer|thread|worker|step|GPU)( |,|$|:)' all | tr -d ' >,:1' | sort -u
! grep -E '(^|[ >])1 [a-z-]+(s|ches)( |,|$|:|<)' all
