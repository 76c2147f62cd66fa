import os

print("this module leaves at once", flush=True)
os._exit(7)
