weft train train.yaml data.held_out_path=nothing
