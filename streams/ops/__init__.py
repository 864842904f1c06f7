"""SHOWS: metrics, health, audit and explain, dead letters, doctor.

May import kafka, formats, wire and core. Read next: `metrics.py`.
"""
