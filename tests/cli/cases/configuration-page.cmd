weft help config | diff - "$ROOT/docs/configuration.md" && echo same
