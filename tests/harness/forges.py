"""The pipelines of GitHub and GitLab, run on this machine without containers.

A bare repository stands in for the forge, and uv is already installed.
"""

import json
import os
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.history import commit
from tests.harness.project import Project

# Both forges keep a ref for each proposal. A push to GitLab succeeds without one, too.
GH = """#!/usr/bin/env bash
[ "$1" != auth ] || exit 0
if [ -n "${REFUSED:-}" ]; then
    echo "GitHub Actions is not permitted to create or approve pull requests" >&2
    exit 1
fi
printf '%s\\n' "$@" > "$CALLED"
git --git-dir "$ORIGIN" update-ref refs/pull/1/head "$4"
"""
POST_RECEIVE = """#!/usr/bin/env bash
[ "${GIT_PUSH_OPTION_COUNT:-0}" != 0 ] || exit 0
env | grep ^GIT_PUSH_OPTION > "$CALLED"
if [ -n "${REFUSED:-}" ]; then
    printf 'WARNINGS:\\nError encountered with push options\\n%s: no' "'merge_request.create'"
else
    read -r _ new _
    git update-ref refs/merge-requests/1/head "$new"
fi
"""
INSTALLED = "#!/bin/sh\n"
CHECKOUT = """
    inputs: { fetch-depth: { default: 1 }, persist-credentials: {} }
    runs:
      using: composite
      steps:
        - shell: bash
          run: |
            git init --quiet
            git remote add origin "$ORIGIN"
            if [ ${{ inputs.fetch-depth }} = 0 ]; then
                git fetch --quiet origin "+refs/heads/*:refs/remotes/origin/*"
                git fetch --quiet origin "$TESTED"
            else
                git fetch --quiet --depth ${{ inputs.fetch-depth }} origin "$TESTED"
            fi
            git checkout --quiet --detach FETCH_HEAD
"""
UPLOAD = """
    inputs: { name: {}, path: {}, if-no-files-found: {} }
    runs:
      using: composite
      steps:
        - shell: bash
          run: cp "${{ inputs.path }}" "$UPLOADS"
"""
ACTIONS = {"actions/checkout": CHECKOUT, "actions/upload-artifact": UPLOAD}
TESTED = "refs/pull/2/merge"
GITLAB_CI_LOCAL = ("npx", "--yes", "gitlab-ci-local@4.75.1", "--force-shell-executor")


@dataclass
class Job:
    """Whether a job is green, what it printed, and the steps that failed on GitHub."""

    is_green: bool
    output: str
    failed: list[str] = field(default_factory=list)


def publish(project: Project) -> Path:
    """Give a project a remote and a stand-in for each forge, and return the remote."""
    here = project.path.parent
    commit(project)
    origin = here / "origin"
    project.git("init", "--quiet", "--bare", str(origin))
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "origin", "HEAD")
    project.git("-C", str(origin), "config", "receive.advertisePushOptions", "true")
    (here / "programs").mkdir()
    for path, text in {
        here / "programs" / "gh": GH,
        here / "programs" / "pip": INSTALLED,
        here / "programs" / "pipx": INSTALLED,
        origin / "hooks" / "post-receive": POST_RECEIVE,
    }.items():
        path.write_text(text)
        path.chmod(0o755)
    return origin


def write_test(project: Project, body: str, directory: str = "tests") -> None:
    """Write a test of the team's with this statement, instead of the one from before."""
    path = project.path / directory / "test_ours.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"def test_ours() -> None:\n    {body}\n")


def write_only_test(project: Project, body: str) -> None:
    """Write the only test that the project runs.

    The tests of the template stay. An update would report each that was deleted.
    """
    settings = project.path / "pyproject.toml"
    text = settings.read_text().replace('testpaths = ["tests"]', 'testpaths = ["ours"]')
    assert 'testpaths = ["ours"]' in text
    settings.write_text(text)
    write_test(project, body, "ours")


class Forge:
    """A forge with one project. Its jobs run on the commit that is checked out there."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.here = project.path.parent
        self.origin = publish(project)

    def branches(self) -> list[str]:
        listed = self.project.git("ls-remote", "--heads", str(self.origin))
        return re.findall(r"refs/heads/(\S+)", listed)

    def proposal(self) -> str:
        """Return the arguments or options that opened the last proposal, or ""."""
        path = self.here / "called"
        return path.read_text() if path.exists() else ""

    def forget(self, branch: str) -> None:
        """Delete a branch and its proposal."""
        for name in (f"heads/{branch}", "pull/1/head", "merge-requests/1/head"):
            ref = f"refs/{name}"
            self.project.git("-C", str(self.origin), "update-ref", "-d", ref)
        (self.here / "called").unlink()

    def environment(self) -> dict[str, str]:
        """Return the variables that the stand-ins use."""
        return {
            "CALLED": str(self.here / "called"),
            "ORIGIN": str(self.origin),
            "UPLOADS": str(self.here),
            "PATH": f"{self.here / 'programs'}:{os.environ['PATH']}",
            "PYTEST_XDIST_AUTO_NUM_WORKERS": "2",
        }


class GitHub(Forge):
    def __init__(self, project: Project) -> None:
        super().__init__(project)
        for name, text in ACTIONS.items():
            action = Project(self.here / name)
            action.path.mkdir(parents=True)
            text = f"name: {name}\n{textwrap.dedent(text)}"
            (action.path / "action.yml").write_text(text)
            commit(action)

    def check_code(self, *, base: str, target: str) -> Job:
        """Check a pull request. Its event names a base that may be outdated."""
        event = {"pull_request": {"number": 1, "base": {"sha": base}}}
        return self._run("pull_request", "template-checks", "code", event)

    def run_tests(self, versions: str, url: str) -> Job:
        matrix = {"python": "3.11", "versions": versions}
        workflow = self._workflow("template-checks")
        service = "postgresql://postgres:postgres@127.0.0.1/postgres"
        text = workflow.read_text()
        assert service in text
        workflow.write_text(text.replace(service, url))
        job = self._run("pull_request", "template-checks", "tests", {}, matrix)
        workflow.write_text(text)
        return job

    def update(self, service: str = "") -> Job:
        matrix = {"service": service} if service else {}
        return self._run("workflow_dispatch", "update", "update", {}, matrix)

    def _workflow(self, name: str) -> Path:
        return self.project.path / ".github" / "workflows" / f"{name}.yml"

    def _run(
        self,
        event: str,
        workflow: str,
        job: str,
        payload: dict[str, object],
        matrix: dict[str, str] | None = None,
    ) -> Job:
        self.project.git("push", "--quiet", "--force", "origin", f"HEAD:{TESTED}")
        event_path = self.here / "event.json"
        event_path.write_text(json.dumps(payload))
        variables = self.project.environment({"VIRTUAL_ENV": None, "HOME": None})
        variables |= {**self.environment(), "TESTED": TESTED}
        options = [
            *(f"--matrix={name}:{value}" for name, value in (matrix or {}).items()),
            *(f"--env={name}={value}" for name, value in variables.items()),
            *(f"--local-repository={each}" for each in self._actions(workflow)),
        ]
        result = self.project.run(
            *("act", event, "--json", f"--workflows={self._workflow(workflow)}"),
            *(f"--job={job}", f"--eventpath={event_path}", "--no-skip-checkout"),
            *("--platform=ubuntu-24.04=-self-hosted", "--no-cache-server"),
            *("--secret=GITHUB_TOKEN=token-of-a-job", *options),
            check=False,
            HOME=str(self.here / "home"),
        )
        lines = [
            json.loads(line) for line in result.stdout.splitlines() if line[:1] == "{"
        ]
        failed = [
            line["step"]
            for line in lines
            if line.get("stage") == "Main" and line.get("stepResult") == "failure"
        ]
        output = "\n".join(str(line.get("msg")) for line in lines)
        return Job(result.returncode == 0, output or result.stdout, failed)

    def _actions(self, workflow: str) -> Iterable[str]:
        """Yield the stand-in for each version of an action that a workflow uses."""
        for line in self._workflow(workflow).read_text().splitlines():
            _, uses, action = line.partition("uses: ")
            name, _, version = action.partition(" ")[0].partition("@")
            if uses:
                yield f"{name}@{version}={self.here / name}"


class GitLab(Forge):
    def __init__(self, project: Project) -> None:
        super().__init__(project)
        address = "https://oauth2:token-of-a-team@gitlab.example.com/team/service.git"
        project.git("config", f"url.{self.origin}.insteadOf", address)
        exclude = project.path / ".git" / "info" / "exclude"
        exclude.write_text(".gitlab-ci-local\n")

    def check_code(self, *, base: str, target: str) -> Job:
        """Check a merge request in a pipeline for merged results."""
        shas = {
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": target,
        }
        jobs = [
            self._run("merge_request_event", job, **shas)
            for job in ("template-code", "template-migrations")
        ]
        output = "\n".join(job.output for job in jobs)
        return Job(all(job.is_green for job in jobs), output)

    def run_tests(self, versions: str, url: str) -> Job:
        checks = self.project.path / ".gitlab" / "template" / "checks.yml"
        text = checks.read_text()
        services = (
            "  services:\n    - name: postgres:18-trixie\n      alias: database\n"
        )
        assert services in text
        # gitlab-ci-local would call Docker for it.
        checks.write_text(text.replace(services, ""))
        resolution = {"locked": "highest", "lowest": "lowest-direct"}[versions]
        job = f"template-tests: [3.11,{resolution}]"
        variables = {"UV_PYTHON": "3.11", "DATABASE_URL": url}
        return self._run("merge_request_event", job, **variables)

    def update(self, service: str = "") -> Job:
        job = "update-from-template" + (f": [{service}]" if service else "")
        variables = {
            "TEMPLATE_TOKEN": "token-of-a-team",
            "CI_SERVER_HOST": "gitlab.example.com",
            "CI_PROJECT_PATH": "team/service",
        }
        return self._run("schedule", job, **variables)

    def _run(self, source: str, job: str, **variables: str) -> Job:
        variables["CI_PIPELINE_SOURCE"] = source
        tested = self.project.git("rev-parse", "HEAD").strip()
        result = self.project.run(
            *(*GITLAB_CI_LOCAL, job, "--concurrency=1"),
            *("--ignore-predefined-vars", ",".join(variables)),
            *(f"--variable={name}={value}" for name, value in variables.items()),
            check=False,
            VIRTUAL_ENV=None,
            **self.environment(),
        )
        # Jobs run in the project itself, and a runner cleans it for the next one.
        self.project.git("checkout", "--quiet", "--force", "--detach", tested)
        self.project.git("clean", "--quiet", "-ffdx")
        return Job(result.returncode == 0, result.stdout)
