printf "\357\273\277model:\n  layers: 2\ndata: {path: x}\n" >bom.yaml; weft config bom.yaml | grep -E "layers|path"; printf "\357\273\277model:\n  layes: 2\n" >bom.yaml; weft config bom.yaml
