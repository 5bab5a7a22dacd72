"""
Which template does a name mean at this tenant?

    "loaders": [
        (
            "tenancy.template.loaders.cached.Loader",
            ["tenancy.template.loaders.filesystem.Loader"],
        ),
        (
            "django.template.loaders.cached.Loader",
            ["django.template.loaders.app_directories.Loader"],
        ),
    ]

What is a tenant's own stands first and is remembered for each; what all have stands behind
it and is remembered once.
"""
