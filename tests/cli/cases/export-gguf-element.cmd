weft export run --gguf out.gguf --element q4_0
