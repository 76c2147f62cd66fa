"""Everything that the triggers call: the domain, the services around it, and the ports to the world.

Imports point inward, to `chain` and the models; only `bootstrap` knows the adapters.
"""
