"""RUNS: the Faust app and its agent, straight lines without a business rule.

`app` builds the app, `worker` runs it as a process. May import ops, kafka, wire and core. Read next:
`app.py`.
"""
