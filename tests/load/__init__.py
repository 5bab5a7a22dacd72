"""
How long do people wait, and does everybody see their own clinic, while many clinics work?

`make load-test` asks the local stack that runs already; the people are in locustfile.py.
"""
