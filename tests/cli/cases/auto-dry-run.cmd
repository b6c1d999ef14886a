weft train auto.yaml --dry-run | grep -v 'share the'; test ! -e run
