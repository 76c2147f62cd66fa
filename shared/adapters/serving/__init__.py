"""What serves a flow over HTTP, in a local process and in a container alike, so that both answer in the same way.

`apps.py` makes a web app of a flow: prompt flow's own for a DAG (`guarded.py` around it), ours (`scoring.py`) for all
other kinds. The local endpoints run it in a process of the laptop (`serve.py` there). In an image it is run by the
program here: `container.py` (the container's first process, which keeps the server) → `server.py` (the server) →
`front.py` (health, readiness, limits), `web.py` (HTTP). `manifest.py` says what an image serves, `json_lines.py` how it
logs; `lifeline.py` ends a server whose keeper died, `promptflow_home.py` keeps prompt flow quiet. The Dockerfile and
the locked requirements (`make lock`) lie here, too; `sources.py` finds the modules that an image needs, and is in none.
"""
