weft schedule gpipe --pipeline 2 --microbatches 2 --dialect 2024
