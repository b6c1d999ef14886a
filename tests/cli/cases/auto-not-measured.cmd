weft config auto.yaml parallel.cluster= 2>&1 >out | grep auto:; grep -c "# plan" out; test ! -e run
