weft config good.yaml <&- | sed -n 1,2p
