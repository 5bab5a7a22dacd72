"""
Is this process fit to answer requests?

    facts        what is known, as values, and what follows from it
    asking       asks no more than once a second, and lets nobody wait
    questions    what PostgreSQL and Redis are asked
    draining     whether it was told to end
    monitor      this process's own answers
    middleware   /health/live and /health/ready
"""
