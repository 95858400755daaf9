"""The winners' archive of a run: code, weights, scripts, requirements and a summary, as Kaggle asks winners for."""
