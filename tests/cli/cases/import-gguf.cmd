cp "$ROOT/tests/convert/files/types.gguf" . && weft import types.gguf --out run && ls run run/source && cat run/source/config.json
