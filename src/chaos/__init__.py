"""A hostile world for a running system: faults as data, a seeded order, a judge of recovery.

It imports nothing of the product and reaches it only from outside: by sockets, signals and disks.
"""
