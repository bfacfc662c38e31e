"""OPTIMADE 1.2: public structures and their references for every client of that standard."""
