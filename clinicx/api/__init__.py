"""
What holds for the whole API, and where its resources answer.

Permissions, parameters, pages and errors are Django REST framework's defaults, named in
the settings: a resource of an app gets them without asking, and cannot forget one.
"""
