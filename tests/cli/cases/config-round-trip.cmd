weft config good.yaml model.architecture=llama run.seed=9 >a.yaml; weft config a.yaml | sed "s/ *#.*//" >b; sed "s/ *#.*//" a.yaml | cmp - b && echo same
