"""The verbs `score`, `pick`, `archive`, `monitor`, `report` and `doctor` of `dpiqa`.

Exit status of `score`: 0 everything was scored; 1 some files could not be scored; 2 nothing could be scored, or the
command line was wrong; 3 some files score below --min; 130 interrupted.
"""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from dpiqa.errors import DpiqaError
from dpiqa.runtime.archive.command import archive
from dpiqa.runtime.formats.kinds import MAX_MEGAPIXELS
from dpiqa.runtime.models import DEFAULT_MODEL, INT8_MODEL
from dpiqa.runtime.program import complain, leave_now, log_times, native_output_silenced

_MODEL = "Path to a model file, or the name of a shipped model"

app = typer.Typer()
app.command()(archive)


@app.command()
@native_output_silenced()
def score(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Pictures, videos, folders (searched recursively), globs, - for stdin."),
    ],
    model: Annotated[Path | None, typer.Option(help=f"{_MODEL} (default: {DEFAULT_MODEL}).")] = None,
    engine: Annotated[str, typer.Option(help="Engine: auto, onnxruntime, openvino, tensorrt or executorch.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Number of CPU threads (default: chosen by the engine).")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Pictures or frames scored at once (default: cores).")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames to score per second of video (default: all).")] = None,
    raw: Annotated[
        str | None,
        typer.Option(metavar="FORMAT:WxH@FPS", help="Take stdin for bare frames, such as nv12:1920x1080@25."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json (one object per line), csv, parquet or vmaf-json (default: by --out's suffix).",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Path to the output file (default: the terminal).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Plot the scores in this PNG file.")] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for PNG explanations: one per picture, and each video's worst frame."),
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Worst first, instead of in order of names.")] = False,
    worst: Annotated[int | None, typer.Option(min=1, help="Show only the N lowest, worst first.")] = None,
    best: Annotated[int | None, typer.Option(min=1, help="Show only the N highest, best first.")] = None,
    cause: Annotated[str | None, typer.Option(help="Show only files whose strongest cause this is.")] = None,
    minimum: Annotated[
        float | None, typer.Option("--min", help="Name what scores less on stderr, and exit with 3.")
    ] = None,
    copy_to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the files shown into this folder.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Contact sheet of all files: thumbnails, causes, maps.")
    ] = None,
    crop_bars: Annotated[bool, typer.Option("--crop-bars", help="Cut black bars off before scoring.")] = False,
    max_megapixels: Annotated[
        float, typer.Option(help="Refuse picture files of more pixels, before decoding them.")
    ] = MAX_MEGAPIXELS,
) -> None:
    """Score pictures and videos.

    Exit status: 0 all scored, 1 some files could not be scored, 2 nothing could be scored, 3 some score below --min.
    """
    from dpiqa.runtime.batch import Batch, jobs_for
    from dpiqa.runtime.files import atomic_write
    from dpiqa.runtime.output import open_output
    from dpiqa.runtime.progress import ProgressBar
    from dpiqa.runtime.scorer import Scorer
    from dpiqa.runtime.selection import Selected, Selection, copy_files
    from dpiqa.runtime.sheet.sheet import Sheet
    from dpiqa.runtime.sources import STDIN
    from dpiqa.runtime.video import RawVideo, Sampler

    Sampler(fps)  # refuses a bad number before the model is loaded
    frames = RawVideo.parse(raw) if raw is not None else None
    if frames and STDIN not in paths:
        raise DpiqaError(f"--raw {raw}: is for standard input, name it as -")
    if not max_megapixels > 0:
        raise DpiqaError(f"--max-megapixels {max_megapixels:g}: must be above 0")
    if plot is not None and plot.suffix.lower() != ".png":
        raise DpiqaError(f"--plot {plot}: only PNG can be written, choose a name that ends in .png")
    targets = {"--out": out, "--plot": plot, "--report": report}
    written = [path for path in targets.values() if path is not None]
    if len({path.resolve() for path in written}) < len(written):
        options = " and ".join(name for name, path in targets.items() if path is not None)
        raise DpiqaError(f"{options}: two of them name the same file, choose another name")
    selection = Selection(sort, worst, best, cause)
    scorer = Scorer(model, engine, threads, max_megapixels, jobs or jobs_for(paths), crop_bars)
    selection.check(scorer.spec.causes)
    batch = Batch(scorer, fps, lambda line: complain(line, "dpiqa"), plot is not None, written, minimum, frames)
    if explain is not None:
        from dpiqa.runtime.explain import Explainer

        explainer = Explainer(explain, scorer)
        batch.listeners.append(lambda explanation, _: explainer.write(explanation))
    sheet = Sheet()
    if report is not None:
        batch.listeners.append(sheet.add)
    bar = ProgressBar()
    with ExitStack() as stack:
        stack.callback(bar.clear)
        output = open_output(stack, form, out, scorer.spec.causes, bar.clear)
        picture = stack.enter_context(atomic_write(plot)) if plot else None
        page = stack.enter_context(atomic_write(report)) if report else None
        selected = Selected(output, selection)
        batch.run(paths, selected if copy_to or selection != Selection() else output, bar)
        if not batch.scored:
            raise typer.Exit(2)
        if picture is not None:
            from dpiqa.runtime.plot import plot_png

            plot_png(picture, batch.videos, batch.pictures)
        if page is not None:
            sheet.write(page)
    if copy_to is not None:  # a folder that cannot be written must not cost what was scored
        copy_files(selected.sources, copy_to)
    if batch.below or batch.failed:
        raise typer.Exit(3 if batch.below else 1)


@app.command()
@native_output_silenced()
def pick(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, folders, globs.")],
    model: Annotated[Path | None, typer.Option(help=f"{_MODEL} (default: {DEFAULT_MODEL}).")] = None,
    engine: Annotated[str, typer.Option(help="Engine: auto, onnxruntime, openvino, tensorrt or executorch.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a group instead of text.")] = False,
    copy_to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the best of each into this folder.")] = None,
) -> None:
    """Group pictures of one scene, and name the best of each group with the reason.

    Exit status: 0 all scored, 1 some could not be scored, 2 none could.
    """
    from dpiqa.runtime.batch import jobs_for
    from dpiqa.runtime.pick import picks, shots
    from dpiqa.runtime.scorer import Scorer
    from dpiqa.runtime.selection import copy_files

    reasons: list[str] = []
    groups = picks(list(shots(Scorer(model, engine, jobs=jobs_for(paths)), paths, reasons)))
    for reason in reasons:
        complain(reason, "dpiqa")
    for group in groups:
        print(group.model_dump_json() if as_json else group.text())
    if copy_to is not None and groups:
        copy_files([group.best for group in groups], copy_to)
    if reasons:
        raise typer.Exit(1 if groups else 2)


@app.command()
@native_output_silenced()
def monitor(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Cameras (rtsp://, http://, udp://, /dev/video0), GStreamer pipelines, videos, folders, - for stdin.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Path to a YAML file with cameras and all settings.")] = None,
    fps: Annotated[float | None, typer.Option(help="Scores per second and source (default: 5).")] = None,
    model: Annotated[
        Path | None, typer.Option(help=f"{_MODEL} (default: {INT8_MODEL}, or {DEFAULT_MODEL} where INT8 is no faster).")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Engine: auto, onnxruntime, openvino, tensorrt or executorch.")
    ] = None,
    jsonl: Annotated[str | None, typer.Option(metavar="FILE", help="Append JSON lines, - for stdout.")] = None,
    csv: Annotated[str | None, typer.Option(metavar="FILE", help="Append readings as CSV.")] = None,
    sqlite: Annotated[
        str | None, typer.Option(metavar="FILE|none", help="Path to the history (default: dpiqa-history.db).")
    ] = None,
    prometheus: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Serve Prometheus /metrics.")] = None,
    mqtt: Annotated[str | None, typer.Option(metavar="URL", help="Publish to a broker, mqtt:// or mqtts://.")] = None,
    home_assistant: Annotated[
        bool, typer.Option("--home-assistant", help="Announce the sources to Home Assistant, over --mqtt.")
    ] = False,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Post events to this URL as JSON.")] = None,
    dashboard: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve the dashboard and its API: 127.0.0.1:8080."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check sources and settings, then exit.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of the settings file, for editors.")
    ] = False,
) -> None:
    """Monitor live sources until stopped: score their frames, report what goes wrong and when.

    SIGHUP reloads the settings file. Exit status: 0 stopped by a signal or all sources ended, 1 some ended without a
    frame, 2 all of them did, or the command line was wrong.
    """
    from dpiqa.runtime.monitor.service import CommandLine, MonitorService
    from dpiqa.runtime.monitor.settings.file import settings_schema

    if schema:
        print(json.dumps(settings_schema(), indent=2))
        return
    sinks = {"jsonl": jsonl, "csv": csv, "sqlite": sqlite, "prometheus": prometheus, "mqtt": mqtt}
    sinks["dashboard"] = dashboard
    flags = {"fps": fps, "model": model, "engine": engine}
    command_line = CommandLine(sources or [], config, flags, sinks, webhook, home_assistant)
    if check:
        print(command_line.check())
        return
    logging.getLogger("dpiqa.runtime").setLevel(logging.INFO)
    log_times()
    service = MonitorService(command_line)
    failed = service.run()
    status = 0 if not failed else 2 if failed == len(service.monitor.cameras) else 1
    if service.monitor.is_reading:
        leave_now(status)
    raise typer.Exit(status)


@app.command()
def report(
    history: Annotated[Path, typer.Argument(help="Path to the history that dpiqa monitor wrote.")],
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Start: 2026-11-24 or 2026-11-24T18:30.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="End (default: the end of the history).")] = None,
    last: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Length up to --until or now, such as 90m, 24h or 7d.")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Time zone, such as Europe/Berlin (default: the local one)."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Path to the HTML file to write.")] = Path("dpiqa-report.html"),
) -> None:
    """Report on a period of a history: uptime, scores by camera and hour, events, worst frames, in one HTML file.

    The default period is the whole history.
    """
    from dpiqa.runtime.monitor.report.generate import report as write

    print(write(history, since, until, last, time_zone, out))


@app.command()
@native_output_silenced()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Show what this machine can do, by trying it: engines, GPU, shipped models, and which command to run next.

    Exit status: 0 pictures can be scored here, 2 they cannot.
    """
    from dpiqa.runtime.doctor import describe, examine

    diagnosis = examine()
    print(diagnosis.model_dump_json(indent=2) if as_json else describe(diagnosis))
    if not any(model.infer_ms for model in diagnosis.models):
        raise typer.Exit(2)
