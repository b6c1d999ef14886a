weft export run --gguf out.gguf --file-bytes 100
