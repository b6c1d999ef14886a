weft generate run
