weft schedule gpipe --json=yes
