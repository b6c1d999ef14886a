cp "$ROOT/tests/convert/files/types.gguf" . && weft import types.gguf --out run >log && weft export run --gguf types.gguf && weft import types.gguf --out again >log && weft compare run again
