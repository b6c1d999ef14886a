weft data nowhere
