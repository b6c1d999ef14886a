weft plan plan/model.yaml A100-SXM-4GB
