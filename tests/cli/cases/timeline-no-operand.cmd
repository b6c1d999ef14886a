weft timeline
