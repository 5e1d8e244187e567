"""The bench: a project's policies as they stand on disk, to check, test and draft. No journal is needed or opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flyball.app.cases import Case, Setting, cases_beside, judge, setting
from flyball.app.explaining import Explained, explain_case
from flyball.app.plugs import adapter
from flyball.app.project import Project, load
from flyball.app.wiring import seen_by_policy, sources
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.policy import Finding, PolicyError
from flyball.ports.policy import Compiled, PolicyEngine


class Bench:
    """The policies of a configuration and the code that they speak of."""

    def __init__(self, config: Config, project: Project | None = None) -> None:
        self.config = config
        self.project = project or load(config.project.name, Path(config.directory), config.project.modules)
        self._engine: PolicyEngine = adapter("policy.cedar")()

    def check(self) -> list[Compiled]:
        """Every layer, compiled; raises PolicyError with the findings of all of them, files named from the project."""
        compiled, found = [], list[Finding]()
        for source in sources(self.config):
            folder = self.config.platform_policies if source.layer == "platform" else self.config.project.policies
            try:
                compiled.append(
                    self._engine.compile(source, self.project.actions, seen_by_policy(self.config, self.project))
                )
            except PolicyError as bad:
                found += [_placed(f, self._shown(folder)) for f in bad.findings]
        if found:
            raise PolicyError(found)
        return compiled

    def test(self) -> tuple[list[Case], list[str]]:
        """Every case, and why those that fail do; raises as `check` does, and `policy_case_invalid`."""
        there = setting(self.config, self.project, self.check())
        cases = [case for source in sources(self.config) for case in cases_beside(self.config, source)]
        return cases, [fault for case in cases for fault in judge(case, there)]

    def schema(self) -> str:
        """The schema that policies are checked against."""
        return self._engine.schema(self.project.actions, self._seen())

    def draft(self, tool: str) -> tuple[str, str]:
        """A policy and a case to begin from."""
        known = self.project.tool(tool)
        drafted: tuple[str, str] = adapter("policy.draft")(known.action, known.precondition, self.project.attributes)
        return drafted

    def write_draft(self, tool: str) -> list[Path]:
        """Writes the draft beside the policies; raises `draft_exists` where one of its files is there."""
        folder = Path(self.config.project.policies or Path(self.config.directory) / "policies")
        texts = self.draft(tool)
        paths = [folder / f"{tool.replace('/', '-')}{ending}" for ending in (".cedar", ".test.toml")]
        there = [path for path in paths if path.exists()]
        if there:
            raise FlyballError(
                "draft_exists", f"{there[0]} is there already", fix="flyball policy draft TOOL prints it."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return paths

    def explain(self, case: Case, force: Sequence[Compiled] = ()) -> Explained:
        """Why these bundles (without any: those on disk) say of a proposal what they say."""
        there: Setting = setting(self.config, self.project, force or self.check())
        return explain_case(case, there)

    def _seen(self) -> Mapping[str, Mapping[str, object]]:
        return seen_by_policy(self.config, self.project)

    def _shown(self, folder: str | None) -> str:
        if folder is None:
            return ""
        try:
            return f"{Path(folder).relative_to(self.config.directory)}/"
        except ValueError:
            return f"{folder}/"


def _placed(finding: Finding, folder: str) -> Finding:
    # What the schema refuses has no file: its place is a tool or an entity.
    file = finding.where.partition(":")[0]
    where = f"{folder}{finding.where}" if file.endswith(".cedar") else finding.where
    return Finding(where=where, what=finding.what, fix=finding.fix)
