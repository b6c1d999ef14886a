weft rehearse train.yaml parallel.pipeline=2 parallel.placement=0,1,0 --steps 1 --forward 0.001 --backward 0.001 --json | grep -e '"schedule"' -e '"stages"'
