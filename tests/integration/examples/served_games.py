"""The server of examples/tic_tac_toe, whose workers tell their process, so that a test can kill one."""

from __future__ import annotations

import os

from examples.tic_tac_toe import app

server = app.server
app.cluster.on("pid", os.getpid)
app.cluster.on("kept", lambda: sorted(app.games))
