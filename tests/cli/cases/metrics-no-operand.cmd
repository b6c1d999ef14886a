weft metrics --follow
