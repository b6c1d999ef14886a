weft config good.yaml <&- | head -2
