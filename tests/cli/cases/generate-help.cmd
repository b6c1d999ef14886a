weft generate --help
