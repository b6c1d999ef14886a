weft generate run --prompt x --temperature hot
