printf "\377\376m\000o\000d\000e\000l\000" >wide.yaml; weft config wide.yaml; first=$?; printf "\000m\000o\000d\000e" >wide.yaml; weft config wide.yaml; second=$?; [ $first = 2 ] && exit $second
