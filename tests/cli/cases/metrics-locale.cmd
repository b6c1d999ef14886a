unset LC_ALL LC_CTYPE; LANG=de_DE.UTF-8 weft metrics curves/one.jsonl
