weft train train.yaml --dryrun
