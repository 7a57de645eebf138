"""What a run was made from and what was made of it: from the comics to the champion, and back."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import MissingInputError
from mlflow_projects import artifacts, tracking
from mlflow_projects.reasons import PARTS
from mlflow_projects.registry import find_version

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_SHORT = 12  # digits of a digest


@dataclass
class Node:
    """A run, a version of a model, or something from outside.

    Attributes:
        what: in words.
        uri: `runs:/ID`, `models:/NAME/VERSION`, or what the user named.
        digests: by name of the artifact its SHA-256.
        next: what it was made from, or what was made of it.
        is_again: it stands with all that follows further up.
    """

    what: str
    uri: str
    digests: Mapping[str, str] = field(default_factory=dict)
    next: "list[Node]" = field(default_factory=list)
    is_again: bool = False


class Ancestry:
    """All runs of our steps in a store, by what they read."""

    def __init__(self, cache: Path) -> None:
        tracking.require_store()
        self._cache = cache
        self._runs = {run.info.run_id: run for run in tracking.find_runs("tags.`cloze.step` != ''")}
        self._versions: dict[str, list[ModelVersion]] = defaultdict(list)
        self._aliases: dict[tuple[str, str], list[str]] = defaultdict(list)
        store = tracking.client()
        for model in store.search_registered_models():
            for alias, version in model.aliases.items():
                self._aliases[model.name, str(version)].append(alias)
            for version in store.search_model_versions(f"name = '{model.name}'"):
                self._versions[str(version.run_id)].append(version)
        self._made: dict[str, list[str]] = defaultdict(list)
        for run_id in sorted(self._runs, key=lambda key: self._runs[key].info.start_time):
            for source in self._sources(run_id):
                self._made[source].append(run_id)

    def run_of(self, word: str) -> str:
        """The run that `runs:/ID`, an id, `models:/NAME/VERSION` or `models:/NAME@ALIAS` names.

        Raises:
            MissingInputError: there is none, or it is not a step of ours.
        """
        run_id = find_version(word)[1] if word.startswith("models:/") else word.removeprefix("runs:/").partition("/")[0]
        if run_id not in self._runs:
            tracking.get_run(run_id)
            raise MissingInputError(f"run {run_id} is not a step of ours: it has no tag cloze.step")
        return run_id

    def up(self, run_id: str) -> Node:
        """The run with all that it was made from, back to the comics."""
        return self._walk(run_id, self._sources, set(), with_outside=True)

    def down(self, run_id: str) -> Node:
        """The run with all that was made of it, versions of models and their aliases among it."""
        return self._walk(run_id, lambda key: self._made.get(key, []), set(), with_outside=False)

    def _walk(self, run_id: str, step: Callable[[str], list[str]], seen: set[str], *, with_outside: bool) -> Node:
        run = self._runs[run_id]
        node = Node(_named(run), f"runs:/{run_id}", _digests(run), is_again=run_id in seen)
        if node.is_again:
            return node
        seen.add(run_id)
        node.next = [self._walk(other, step, seen, with_outside=with_outside) for other in step(run_id)]
        node.next += self._outside(run) if with_outside else self._registered(run_id)
        return node

    def _sources(self, run_id: str) -> list[str]:
        """Runs that made what the run read itself, not what these had read."""
        run, found = self._runs[run_id], []
        for name, value in run.data.params.items():
            if name.startswith("cfg.") and value.startswith("models:/"):
                found += _run_of_version(value)
            elif name.startswith("cfg."):
                found += tracking.run_ids(value)
        return [key for key in dict.fromkeys(found) if key in self._runs and key != run_id]

    def _outside(self, run: "Run") -> list[Node]:
        """What the run read that no run made: comics and other files, with their digests."""
        contents = (artifacts.logged_json(run, PARTS, self._cache) or {}).get("contents", {})
        given = {name.removeprefix("cfg."): value for name, value in run.data.params.items()}
        found = [Node(name, given.get(name, ""), {name: digest}) for name, digest in contents.items()]
        if "comics" in given and "comics" not in contents:
            found.append(Node("comics", given["comics"]))
        gone = [value for value in given.values() if value.startswith("models:/") and not _run_of_version(value)]
        found += [Node("no longer in the registry", uri) for uri in gone]
        found += [
            Node(name, path, {name: digest})
            for name, value in given.items()
            for path, marker, digest in [value.partition("#sha256=")]
            if marker
        ]
        return found

    def _registered(self, run_id: str) -> list[Node]:
        found = []
        for version in self._versions.get(run_id, []):
            aliases = self._aliases[version.name, str(version.version)]
            what = f"version {version.version} of {version.name}" + "".join(f" @{alias}" for alias in sorted(aliases))
            digests = {"adapter": version.tags["cloze.digest"]} if "cloze.digest" in version.tags else {}
            found.append(Node(what, f"models:/{version.name}/{version.version}", digests))
        return found


def _run_of_version(uri: str) -> list[str]:
    """The run that made a version; nothing where the registry has it no longer."""
    try:
        return [find_version(uri)[1]]
    except MissingInputError:
        return []


def shown(node: Node) -> str:
    """A node on one line."""
    digests = ", ".join(f"{name} {digest[:_SHORT]}" for name, digest in sorted(node.digests.items()))
    return "  ".join(filter(None, [node.what, node.uri, digests, "(see above)" if node.is_again else ""]))


def _named(run: "Run") -> str:
    tags = run.data.tags
    about = " ".join(tags[name] for name in ("cloze.step", "cloze.condition", "cloze.paradigm") if name in tags)
    status = "" if run.info.status == "FINISHED" else f", {run.info.status}"
    return f"{run.info.run_name} ({about}{status})"


def _digests(run: "Run") -> dict[str, str]:
    prefix = "cloze.digest."
    kept = {name.removeprefix(prefix): value for name, value in run.data.tags.items() if name.startswith(prefix)}
    return {name: digest for name, digest in kept.items() if name.endswith(".parquet") or "." not in name}
