"""Sessions on Kaggle's own machines: the script that is sent, what runs inside it, its state and the way home."""
