weft verify gpipe --pipeline 2
