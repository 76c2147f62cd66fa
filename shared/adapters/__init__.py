"""The ports' implementations, one folder per profile; in `shared/` only `bootstrap.py` imports them."""
