# How gunicorn serves the example; a service of your own can start from a copy:
#
#     gunicorn --config flask_example/gunicorn.conf.py "flask_example:create_app()"

# One greenlet a request and one a job run. The worker patches the standard library before it loads
# the application, so that waiting for a socket, a lock or a queue lets the others go on.
worker_class = "gevent"

# All workers are equal. Each looks for due jobs, so as long as one of them lives the jobs are run.
workers = 2

# Seconds between TERM and KILL. Jobs that are running may finish in this time, less a small reserve
# for recording what had to be interrupted. Whoever stops gunicorn must wait a little longer:
# systemd's TimeoutStopSec, Kubernetes' terminationGracePeriodSeconds, Docker's stop_grace_period.
graceful_timeout = 30

# Seconds that a worker may be stuck in code that never yields before gunicorn kills it.
timeout = 30

# Newer versions open a control socket in the home directory. Nobody here uses it.
control_socket_disable = True
