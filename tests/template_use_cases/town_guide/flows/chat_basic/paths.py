import pathlib
import sys

# The evaluator's modules, too
sys.path.insert(0, str(pathlib.Path(__file__).parent / "../eval_checklist"))
