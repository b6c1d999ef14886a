weft timeline measured --svg t.svg --html t.html --trace t.json >/dev/null && for f in t.svg t.html t.json; do grep -o "measured, step 4\|predicted from steps 1 to 3" $f | sort | uniq -c; done
