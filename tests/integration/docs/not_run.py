"""The blocks that are not run, each with the reason."""

from __future__ import annotations

REASONS = {
    (
        "examples/docker/README.md",
        "In containers",
    ): "there is no Docker for the tests; test_services.py checks the files",
    ("examples/kubernetes/README.md", "On Kubernetes"): (
        "there is no cluster for the tests; test_services.py checks the manifests"
    ),
    ("examples/systemd/README.md", "As a systemd service"): (
        "it would change the machine; test_services.py checks the unit"
    ),
    ("examples/publish/README.md", "Sending from other programs, over HTTP"): (
        "PHP and Go are not installed for the tests, which have the requests that these programs send: test_publish.py"
    ),
    ("examples/django_chat/README.md", "Django, with its session and a worker"): (
        "what they start is run by test_django_chat.py"
    ),
    ("examples/starlette_granian/README.md", "Starlette on granian, with two workers"): (
        "its clients wait for somebody who types; what it starts is run by test_starlette_granian.py"
    ),
    ("README.md", "Two commands"): "`make test` would run these tests again; the demo has its own, test_demo.py",
    ("docs/from-channels.md", "A consumer, before and after"): "the code of Channels, to compare",
    ("docs/from-channels.md", "Sending from views, signals and Celery"): "the code of Channels, to compare",
    ("docs/from-channels.md", "The client"): "the code of a page for Channels, to compare",
    ("docs/from-socketio.md", "A server, before and after"): "python-socketio's code, to compare",
    ("docs/from-socketio.md", "From other processes"): "python-socketio's code, to compare",
    ("docs/from-socketio.md", "The client"): "the code of socket.io-client, to compare",
    ("docs/from-the-original.md", "A server, before and after"): "the original's code, to compare",
    ("docs/from-the-original.md", "Client by client"): "the original's code, to compare",
}
"""By page and section."""
