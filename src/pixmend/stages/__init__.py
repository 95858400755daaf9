"""One verb a file: main(settings) reads what earlier stages wrote and writes what later ones read."""
