"""Claims of the talk, one file each: the statement, its rules, the experiment, its tables and its picture."""
