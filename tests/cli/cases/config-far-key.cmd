weft config good.yaml run.wandb=project
