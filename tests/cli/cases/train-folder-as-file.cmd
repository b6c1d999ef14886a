mkdir folder; weft train folder
