weft export run --to out --gguf out.gguf
