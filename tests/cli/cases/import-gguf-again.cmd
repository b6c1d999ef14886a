cp "$ROOT/tests/fuzz/corpus/gguf/llama" small && weft import small --out run --context 4 && weft import small --out run
