"""Settings of gunicorn, which serves the MLflow UI; read by it, and in place of those it finds."""

workers = 1
threads = 8
loglevel = "warning"
graceful_timeout = 1
control_socket_disable = True
