"""What a run does not need: each module is one optional capability, plugged in by main.py.

Nothing in the core imports from here. A part whose package is not installed says which pip command
brings it.
"""
