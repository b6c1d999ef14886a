weft rehearse --help
