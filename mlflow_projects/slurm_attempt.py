"""The last word of a batch job, by slurm/job.sbatch: `python -m mlflow_projects.slurm_attempt STATUS AGAIN BEGAN`.

Records the attempt (node, times, exit status) and the job's log in the run, and gives the run an end where its program
could not. A job that is to be queued again leaves its run SCHEDULED.
"""

import os
import sys

from mlflow_projects import slurm_runs, tracking


def record(exit_code: int, is_requeued: bool, began: str) -> None:
    """Record the end of an attempt at the run that MLFLOW_RUN_ID names."""
    run_id = os.environ["MLFLOW_RUN_ID"]
    run = tracking.get_run(run_id)
    outcome = "stopped, to be queued again" if is_requeued else "finished" if exit_code == 0 else "failed"
    slurm_runs.end_attempt(run, exit_code, outcome, began)
    if is_requeued:
        tracking.client().update_run(run_id, status="SCHEDULED")
    elif run.info.status != "FINISHED":
        slurm_runs.end_run(run, exit_code)


if __name__ == "__main__":
    record(int(sys.argv[1]), sys.argv[2] == "yes", sys.argv[3])
