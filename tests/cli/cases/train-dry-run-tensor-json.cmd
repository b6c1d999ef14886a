weft train train.yaml --dry-run --json parallel.tensor=2 parallel.order=data-pipeline-tensor parallel.pipeline=2
