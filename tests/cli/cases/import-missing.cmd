weft import nothing.gguf --out run || weft import nothing --out run
