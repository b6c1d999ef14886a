printf "run:\n\tsteps: 3\n" >tabs.yaml; weft train tabs.yaml
