"""The worker: takes jobs from the queue and runs them in other processes.

===============  ====================================================================
``loop``         claims, keeps leases, stores what came of it
``attempt``      a claimed job on its way
``presence``     the session that says it lives; what happens while the database is away
``executor``     the seam: what the loop needs of whatever runs tasks
``processes``    the executor of this machine
``allocations``  the executor of a cluster
``cluster``      what a file says of a cluster
``slurm``        how Slurm is asked for allocations
``node``         one task on a node of a cluster
``supervise``    one task in an engine's process, with its limits, here or on a node
``warden``       the parent of an engine's process, with which its whole tree ends
``runner``       the engine's process: takes tasks, gives answers
``perform``      one task, from its input to its outcome
``folder``       the folder of one attempt
``folders``      those of a worker, and what outlives an attempt
``files``        what becomes of files and arrays of an outcome
===============  ====================================================================
"""
