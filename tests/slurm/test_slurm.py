"""The workflow on a real Slurm of one node, started here: runs and the controller are killed, all records arrive.

Takes minutes, needs root and Debian's packages slurm-wlm and munge: `make test-slurm`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ferlib import records

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
RUNS = [(experiment, seed) for experiment in ("se_cnn-plain", "se_cnn-se") for seed in (0, 1)]
EPOCHS = 3
PATIENCE = 1200  # seconds for everything; a machine to itself needs a quarter of it


@pytest.fixture(scope="module")
def cluster(request):
    """A folder with a running Slurm, and the environment that reaches it. Stopped whatever happens."""
    if not any("slurm" in str(argument) for argument in request.config.invocation_params.args):
        pytest.skip("takes minutes; make test-slurm runs it")
    for tool in ("slurmctld", "slurmd", "munged"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt install slurm-wlm munge")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("Snakemake is not installed: pip install -e '.[workflow]'")
    if os.geteuid() != 0:
        pytest.skip("starting Slurm's daemons needs root")
    folder = Path(tempfile.mkdtemp(prefix="ferlib-slurm-"))
    try:
        subprocess.run([HERE / "start.sh", folder], check=True, timeout=120)
        asked = folder / "bin" / "squeue"  # keeps the exit status of every question for the jobs' states
        script = f'{shutil.which("squeue")} "$@"\ncode=$?\necho $code >>{folder}/asked\nexit $code\n'
        asked.write_text(f"#!/bin/sh\n{script}")
        asked.chmod(0o755)
        path = os.pathsep.join([str(folder / "bin"), str(PROFILE / "no-accounting"), os.environ["PATH"]])
        yield folder, {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    finally:
        subprocess.run([HERE / "stop.sh", folder], check=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Story:
    """What happened: the work folder, Snakemake's exit status and output, and what was done to whom."""

    work: Path
    status: int | None = None
    output: str = ""
    killed: dict[tuple[str, int], str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        self.events.append(f"test: {time.strftime('%F %T')} {what}")

    def log(self, experiment: str, seed: int) -> str:
        path = self.work / "runs" / "log" / experiment / f"seed{seed}.log"
        return path.read_text() if path.exists() else ""

    def lines(self, experiment: str, seed: int, event: str = "") -> list[str]:
        """The job's own lines in the run's log: `workflow: … started … slurm=7 …`."""
        wanted = re.compile(rf"^workflow: \S+ \S+ {event}")
        return [line for line in self.log(experiment, seed).splitlines() if wanted.match(line)]

    def record(self, experiment: str, seed: int) -> dict:
        return records.read(records.path_of(self.work / "runs" / "quick" / "records", experiment, seed))


def fact(line: str, name: str) -> int:
    return int(re.search(rf" {name}=(\d+)", line)[1])


def snakemake(work: Path, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake", "runs", "--snakefile", str(ROOT / "workflow" / "Snakefile")),
        *("--directory", str(work), "--profile", str(PROFILE)),
        *("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "20"),
        *("--default-resources", "slurm_partition=test"),
        *("--config", "experiments=" + ",".join(dict.fromkeys(e for e, _ in RUNS)), "seeds=0,1"),
        *("profile=quick", f"epochs={EPOCHS}", "threads=1", "mem_mb=2000", "gres=gpu:1", "device=cpu"),
        *arguments,
    ]


def until(what: str, condition, process: subprocess.Popen, since: float):
    while not (found := condition()):
        if process.poll() is not None:
            pytest.fail(f"Snakemake ended while the test waited for {what}")
        if time.monotonic() - since > PATIENCE:
            pytest.fail(f"no {what} within {PATIENCE} s")
        time.sleep(0.2)
    return found


def come_near_the_limit(pid: int, job: str, environment: dict[str, str]) -> None:
    """Lower the time limit of a job so that Slurm warns its processes in a moment, as it does before any limit.

    The run is held until then, so that it cannot end before, however fast the machine: Slurm wakes a process
    (SIGCONT) that it signals.
    """
    os.kill(pid, signal.SIGSTOP)
    squeue = ["squeue", "--noheader", "--job", job, "--format=%M"]
    elapsed = subprocess.run(squeue, env=environment, check=True, capture_output=True, text=True).stdout
    limit = int(elapsed.strip().split(":")[-2]) + 3  # minutes; the warning comes two before
    scontrol = ["scontrol", "update", f"JobId={job}", f"TimeLimit={limit}"]
    subprocess.run(scontrol, env=environment, check=True)


@pytest.fixture(scope="module")
def story(cluster, tmp_path_factory):
    """Four runs on two CPUs: one is killed, one comes near its time limit, then the controller is killed."""
    folder, environment = cluster
    story = Story(tmp_path_factory.mktemp("work"))
    output = story.work / "snakemake.log"
    began = time.monotonic()
    with output.open("w") as file:
        process = subprocess.Popen(
            snakemake(story.work), env=environment, stdout=file, stderr=subprocess.STDOUT, cwd=story.work
        )

        def training():
            """A run that has a checkpoint and is still at work, and that nothing has been done to."""
            for run in RUNS:
                started, ended = story.lines(*run, "started"), story.lines(*run, "(finished|stopped)")
                saved = " epoch 1:" in story.log(*run) and f" epoch {EPOCHS}:" not in story.log(*run)
                if run not in story.killed and saved and len(started) > len(ended):
                    return run, started[-1]
            return None

        try:
            run, line = until("run to kill", training, process, began)
            os.kill(fact(line, "pid"), signal.SIGKILL)
            story.killed[run] = "kill -9"
            story.tell(f"kill -9 of the process of {run[0]} seed {run[1]}")
            run, line = until("run to warn", training, process, began)
            come_near_the_limit(fact(line, "pid"), str(fact(line, "slurm")), environment)
            story.killed[run] = "time limit"
            story.tell(f"time limit of {run[0]} seed {run[1]} lowered, Slurm warns it")
            until("Slurm to warn it", lambda: story.lines(*run, "(stopped|finished)"), process, began)
            # Slurm writes a job's end to disk some seconds later; a controller killed before that takes the job for
            # running until its time limit. So wait until the other two have taken the places of these.
            others = [run for run in RUNS if run not in story.killed]
            until(
                "the next two runs",
                lambda: all(story.lines(*run, "started") for run in others),
                process,
                began,
            )
            os.kill(int((folder / "slurmctld.pid").read_text()), signal.SIGKILL)
            story.tell("kill -9 of the controller")
            answered = len((folder / "asked").read_text().split())

            def in_vain() -> bool:
                return set((folder / "asked").read_text().split()[answered:]) >= {"1"}

            until("Snakemake to ask the dead controller", in_vain, process, began)
            subprocess.run([HERE / "start.sh", folder, "controller"], check=True, timeout=60)
            story.tell("controller started again, after Snakemake asked in vain")
            story.status = process.wait(timeout=PATIENCE - (time.monotonic() - began))
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
            story.output = output.read_text()
            print(f"\n{story.output[-6000:] if story.status else ''}")
            trace = [*story.events, *(line for run in RUNS for line in story.lines(*run))]
            print("\n".join(sorted(trace, key=lambda line: line.split(" ", 1)[1])))
            print(f"{time.monotonic() - began:.0f} s")
    return story


def test_all_records_arrive(story):
    assert story.status == 0, story.output[-3000:]
    for experiment, seed in RUNS:
        part = story.record(experiment, seed)["reproducible"]
        assert (part["experiment"]["id"], part["seed"]) == (experiment, seed)
        assert part["epochs_run"] == EPOCHS


def test_nothing_runs_twice_to_its_end(story):
    for run in RUNS:
        assert len(story.lines(*run, "finished")) == 1
        done = len(re.findall(rf" epoch {EPOCHS}:", story.log(*run)))
        assert done == 1, f"{run}: the last epoch was trained {done} times"


def test_only_what_was_killed_started_twice_in_a_job_of_its_own(story):
    for run in RUNS:
        jobs = [fact(line, "slurm") for line in story.lines(*run, "started")]
        assert len(set(jobs)) == len(jobs) == (2 if run in story.killed else 1)


def test_a_killed_run_continues_from_its_checkpoint(story):
    for run in RUNS:
        assert story.record(*run)["run"]["interruptions"] == (1 if run in story.killed else 0)
        assert story.log(*run).count(" epoch 1:") == 1


def test_a_warned_run_saves_and_says_so(story):
    (run,) = (run for run, what in story.killed.items() if what == "time limit")
    (stopped,) = story.lines(*run, "stopped")
    assert fact(stopped, "status") == 75


def test_the_rest_is_not_pending_any_more(story, cluster):
    again = subprocess.run(
        snakemake(story.work, "--dry-run"), env=cluster[1], cwd=story.work, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert "rule runs:" in again.stdout and "rule run:" not in again.stdout
