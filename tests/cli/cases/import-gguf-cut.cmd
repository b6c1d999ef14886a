cp "$ROOT/tests/fuzz/corpus/gguf/cut" cut.gguf && weft import cut.gguf --out run || { echo $?; test -e run || echo nothing; }
