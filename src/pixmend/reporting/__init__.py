"""The report's page: its tables, drawings and pictures, each made from the files of the runs."""
