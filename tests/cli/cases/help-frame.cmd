weft help | sed -n '1,4p;/^  config/p;/^weft VERB/,$p'
