"""Random input for all that reads what others wrote.

`targets.py` has a function for each reader, which raises for a fault; `corpus/` an input for each branch that counts
and for each fault that was found; `inputs.py` changes those by chance. `test_fuzz.py` replays the corpus and some
changed inputs in each run of the tests, `make fuzz MINUTES=5` goes on for so long with a seed that it prints.
"""
