cp -r measured short
for file in short/timelines/step-*.csv; do
    awk -F, -v OFS=, 'NR > 1 { $6 = sprintf("%.9f", $6 / 100); $7 = sprintf("%.9f", $7 / 100) } { print }' "$file" >csv && mv csv "$file"
done
weft timeline short | grep -e 'outside the program' -e '[-+]0[.]0*\( \|$\)'
