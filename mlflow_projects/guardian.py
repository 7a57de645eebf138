"""A small process that outlives a job and gives its run an end if the job could not.

`kill -9`, the kernel's OOM killer or a crash leave no chance to tell MLflow, and the run would stay RUNNING for ever.
The guardian holds the reading end of a pipe whose writing end only the job has: end of file without the farewell byte
means that the job is gone. It runs in its own session, so that a signal to the job's process group does not reach it,
and imports MLflow only when it is needed.
"""

import os
import subprocess
import sys
from pathlib import Path

FAREWELL = b"."
REASON = "the process ended without a word (killed, out of memory, or crashed)"


class Guardian:
    """Watches this process on behalf of one run, from construction to `dismiss`."""

    def __init__(self, run_id: str, tracking_uri: str) -> None:
        reader, self._writer = os.pipe()
        environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri}
        environment.pop("MLFLOW_RUN_ID", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow_projects.guardian", run_id],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            cwd=Path(__file__).parent.parent,
        )
        os.close(reader)

    def dismiss(self) -> None:
        """Tell the guardian that the run has its end."""
        os.write(self._writer, FAREWELL)
        os.close(self._writer)
        self._process.wait(timeout=30)


def watch(run_id: str) -> None:
    """Wait for the farewell or for end of file; end the run in the latter case."""
    if os.read(0, 1) == FAREWELL:
        return
    from mlflow_projects.tracking import end_vanished

    end_vanished(run_id, REASON)


if __name__ == "__main__":
    watch(sys.argv[1])
