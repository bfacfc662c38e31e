"""From files into the database: found, read in other processes, and stored in batches.

Everything is bounded, so memory stays the same whatever comes in. Each batch is one
transaction: an import that was interrupted is done again, and what it had stored is recognised.
"""
