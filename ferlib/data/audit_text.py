"""The dataset doctor's report as aligned plain text."""

from __future__ import annotations

import textwrap

from ferlib.data.audit import Duplicates, Report

WIDTH = 100
_LABEL = 13  # columns of the field names


def text(report: Report) -> str:
    """Facts, counts, duplicates, subjects, then problems and notes; the expected tree where it is needed."""
    verdict = (
        "ok" if report.ok else f"{len(report.problems)} problem{'s' if len(report.problems) > 1 else ''}"
    )
    blocks = [f"{report.name}: {verdict}", _facts(report)]
    if report.counts:
        blocks += [_counts(report)]
    if report.duplicates:
        blocks.append(_duplicates(report.duplicates))
    if report.subjects:
        blocks.append(_subjects(report.subjects))
    if report.problems:
        blocks.append(_list("problems", report.problems))
    if report.notes:
        blocks.append(_list("worth knowing", report.notes))
    if report.expected:
        blocks.append("  expected\n" + textwrap.indent(report.expected, "    "))
    if report.how:
        blocks.append("  how to get it\n" + _wrapped(report.how, "    "))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(report: Report) -> str:
    rows = [("root", report.root), ("layout", report.layout), ("source", report.source)]
    rows.append(("protocol", report.protocol))
    if report.size:
        modes = ", ".join(f"{n:,} files {mode}" for mode, n in report.file_modes.items())
        look = f"{report.images:,}, {report.colour}, {report.size[0]} x {report.size[1]}"
        rows.append(("images", look + (f" ({modes})" if modes else "")))
    if report.classes:
        rows.append(("classes", ", ".join(f"{i} {name}" for i, name in enumerate(report.classes))))
    rows.append(("fingerprint", report.fingerprint))
    return "\n".join(f"  {key:<{_LABEL}}{value}" for key, value in rows if value)


def _counts(report: Report) -> str:
    """A row per class, a column per split, their sum, and the published sum."""
    splits = list(report.counts)
    head = ["counts", *splits, "all", *(["published"] if report.published else [])]
    numbers: list[list[int]] = []
    for name in report.classes:
        own = [report.counts[split][name] for split in splits]
        public = [sum(counts[name] for counts in report.published.values())] if report.published else []
        numbers.append([*own, sum(own), *public])
    numbers.append([sum(column) for column in zip(*numbers, strict=True)])
    names = [*report.classes, "sum"]
    cells = [head, *([name, *(f"{n:,}" for n in row)] for name, row in zip(names, numbers, strict=True))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        line = "".join(f"{cell:>{width + 3}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append(f"  {row[0]:<{widths[0]}}{line}")
    return "\n".join(lines)


def _duplicates(twins: Duplicates) -> str:
    if not twins.groups:
        return "  identical images\n    none"
    lines = [f"{twins.images:,} images in {twins.groups:,} groups of byte-identical ones"]
    within = ", ".join(f"{split} {n:,}" for split, n in twins.within.items())
    lines.append(f"copies within a split: {within}")
    for pair, n in twins.across.items():
        first, second = pair.split("/")
        against = twins.conflicts_across[pair]
        lines.append(f"{n:,} of {second} also in {first}, {against:,} of these under other labels only")
    groups, images = twins.conflicts
    lines.append(f"label conflicts: {groups:,} groups ({images:,} images) have more than one label")
    return "  identical images\n" + "\n".join(f"    {line}" for line in lines)


def _subjects(shared: dict[str, int]) -> str:
    pairs = ", ".join(f"{pair} {n:,}" for pair, n in shared.items() if pair != "all")
    return f"  subjects\n    {shared['all']:,}; in both parts: {pairs}"


def _list(title: str, items: tuple[str, ...]) -> str:
    return f"  {title}\n" + "\n".join(_wrapped(item, "    - ", "      ") for item in items)


def _wrapped(line: str, first: str, rest: str | None = None) -> str:
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
