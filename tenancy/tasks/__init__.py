"""
How does a background task work for the tenant that queued it, or not at all?

For projects that use Celery: `app.Celery` takes the place of `celery.Celery`. Nothing in
here is imported by the rest of tenancy at start, so Celery need not be installed; and the
package itself imports nothing, because other queues import every module called `tasks`.
"""
