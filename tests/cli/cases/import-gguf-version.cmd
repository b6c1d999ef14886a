cp "$ROOT/tests/fuzz/corpus/gguf/version" old.gguf && weft import old.gguf --out run
