cp "$ROOT/tests/fuzz/corpus/gguf/blocks" . && weft import blocks --out run && ls run/source
