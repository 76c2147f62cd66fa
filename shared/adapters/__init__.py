"""The ports' implementations, one folder per profile; only `shared/bootstrap.py` imports them."""
