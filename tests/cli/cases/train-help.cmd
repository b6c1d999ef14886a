weft train --help
