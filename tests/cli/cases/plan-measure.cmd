weft plan auto.yaml --measure out.yaml --gpus 1 --batch 2 | sed 's/, [0-9.e+]* Gflop/, X Gflop/; s/; [12] of/; N of/; s/, the others.*//'; grep -c '^  - \[32, 1, [12], ' out.yaml; test ! -e run
