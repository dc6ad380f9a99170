# The example application as an image: see docker-compose.yml.
#
# The test suite parses this file and compares it with what the repository holds. It was not built there:
# the machines that ran the suite had no container engine.
FROM python:3.12-slim

# Log lines appear when they are written, and no byte code is written into a read-only image.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

WORKDIR /srv

# The library, and what the example needs beside it. gunicorn's gevent worker imports `packaging`.
COPY setup.py setup.cfg README.md LICENSE ./
COPY jobrunner jobrunner
RUN pip install --no-cache-dir . "gunicorn>=20.1" packaging "psycopg[binary]>=3.1"

COPY flask_example flask_example

# Nothing here needs more rights than an ordinary user's.
RUN useradd --system --no-create-home web
USER web

EXPOSE 8000

# As a list, without a shell: gunicorn is process 1 and receives the TERM of `docker stop` itself.
CMD ["gunicorn", "--config", "flask_example/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "flask_example:create_app()"]
