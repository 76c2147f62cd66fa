import os

BASE_DIR = os.path.dirname(os.path.abspath(__file__))
MANUALS_DIR = os.path.join(BASE_DIR, ".manuals")
INDEX_DIR = os.path.join(BASE_DIR, ".index")
