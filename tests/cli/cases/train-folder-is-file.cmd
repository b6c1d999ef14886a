echo mine >taken; weft train train.yaml run.folder=taken; status=$?; cat taken; exit $status
