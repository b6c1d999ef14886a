mkdir folder; weft generate folder --prompt x --json
