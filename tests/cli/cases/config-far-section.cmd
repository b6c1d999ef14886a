weft config good.yaml wandb.project=x
