weft metrics /dev/null
