"""What exercises the independent model of `verifier/model`: real input as sends and requests, a driver, a
rehearsal without a broker, the model's words, and its own tests.

Imports nothing of `streams` (an import contract). Read next: `sources.py`, `desk.py`, `driver.py`.
"""
