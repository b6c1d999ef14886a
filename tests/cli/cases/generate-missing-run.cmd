weft generate run/nothing --prompt x --json
