"""The figures of a run, one module per subject; `plot_results.py` draws them and says how to read this."""
