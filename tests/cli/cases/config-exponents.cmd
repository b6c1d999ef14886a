weft config good.yaml optimizer.learning_rate=3e-5 optimizer.clip=1e12 optimizer.epsilon=1.25e-9 model.init_deviation=1e-300 | grep -E "e[-+]"
