"""A study as a graph of jobs: each step is one, queued behind those that it needs; the study's own job is the last.

What was done before is reused as far as that can be known without waiting: steps all of whose inputs exist. The last
job runs the study, finds every step finished, and shows its table.
"""

import dataclasses
from typing import TYPE_CHECKING

import click

from cloze.errors import ClozeError
from cloze.settings import Settings, parse
from mlflow_projects import slurm, slurm_runs, tracking
from mlflow_projects.program import cache_folder, find_program, state_folder
from mlflow_projects.provenance import ROOT, process_tags
from mlflow_projects.slurm_runs import Submitted
from mlflow_projects.slurm_submission import submit, submit_step
from mlflow_projects.stepkey import step_key
from mlflow_projects.steps import NotMadeError, Steps
from mlflow_projects.studies import StudySettings, StudyStep, load_study, sorter

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_projects.slurm_profile import Profile
    from mlflow_projects.steps import Resolved


def submit_study(run_id: str, settings: StudySettings, profile: "Profile") -> list[Submitted]:
    """Submit what is to do of a study, the study's own job last.

    Raises:
        ClozeError: the study will not do, or a step is refused; then no job of it is left.
    """
    if settings.study.endswith((".yaml", ".yml")):
        settings = dataclasses.replace(settings, study=str(ROOT / settings.study))
    study = load_study(settings.study)
    for tag, value in process_tags().items():  # of the client, until the job adopts the run
        tracking.client().set_tag(run_id, tag, value)
    submitting = _Submitting(run_id, profile)
    try:
        graph = sorter(study)
        while graph.is_active():
            for name in graph.get_ready():
                submitting.step(name, study[name])
                graph.done(name)
        main = find_program("main")
        needs = list(submitting.last.values())
        return [*submitting.jobs, submit(run_id, main, settings, profile.of_step(main.name), needs)]
    except ClozeError:
        if submitting.jobs:
            slurm.cancel(job.job_id for job in reversed(submitting.jobs))
            slurm_runs.settle_all_of(submitting.jobs)
        raise


def find_done(steps: Steps, step: str, settings: Settings) -> "tuple[Resolved | None, Run | None]":
    """A step with its inputs found, and the finished run of it, as far as nothing has to be made for that."""
    try:
        resolved = steps.resolve(step, settings)
    except NotMadeError:
        return None, None  # the job makes what it lacks
    return resolved, tracking.find_finished(step, step_key(resolved.key_parts()))


class _Submitting:
    """Walks through a study.

    Attributes:
        runs: by step the run that has its results, or will.
        last: by step the job of that run, of those that have one.
        jobs: all jobs, in their order.
    """

    def __init__(self, parent_id: str, profile: "Profile") -> None:
        self.runs: dict[str, Run] = {}
        self.last: dict[str, Submitted] = {}
        self.jobs: list[Submitted] = []
        self._parent_id = parent_id
        self._profile = profile
        self._steps = Steps(parent_id, cache_folder(), state_folder(), makes=False)

    def step(self, name: str, step: StudyStep) -> None:
        """Reuse a step, or submit it."""
        program = find_program(step.entry)
        settings = parse(program.settings, step.words(self.runs))
        needs = [self.last[needed] for needed in sorted(step.needs & self.last.keys())]
        resolved, finished = (None, None) if needs else find_done(self._steps, step.entry, settings)
        if finished is not None:
            click.echo(f"reused     {name:<32} runs:/{finished.info.run_id}")
            tracking.note_reused(self._parent_id, name, finished.info.run_id)
            self.runs[name] = finished
            return
        run_id = self._steps.unfinished(resolved) if resolved else ""
        if run_id:
            tracking.adopt_child(run_id, self._parent_id)
        else:
            run_id = tracking.create_child(step.entry, name, self._parent_id)
        try:
            submitted = submit_step(run_id, program, settings, self._profile, needs, resolved)
        except ClozeError as error:
            tracking.fail_run(run_id, str(error))
            raise
        self.jobs += submitted
        self.last[name] = submitted[-1]
        self.runs[name] = tracking.get_run(run_id)
        click.echo(f"submitted  {name:<32} runs:/{run_id}  job {', '.join(job.job_id for job in submitted)}")
