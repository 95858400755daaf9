"""Downloads from Kaggle, submissions, and training on Kaggle's GPUs, all through the `kaggle` command."""
