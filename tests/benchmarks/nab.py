"""Streaming anomaly detection on 24 real files of the Numenta Anomaly Benchmark, standard profile.

``python -m tests.benchmarks.nab [--by-file] [--development]`` prints a Markdown table beside the published rows for the
same files. One pass, one value at a time, nothing set per file. The score is given with the threshold that is best for
all files, as in the published rows, and with the one that the detector names itself, ``ALARM_SCORE``. With
``--development`` the same is printed for the series that the settings were chosen on instead. Fails below 60, or where
a value takes more than 1 ms of processor time on the average.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

from pdnopt.risk.detector import ALARM_SCORE, StreamingDetector
from tests.benchmarks._anomaly_development import development_series
from tests.benchmarks._nab_references import relative_entropy, windowed_gaussian
from tests.benchmarks._nab_scoring import LabelledSeries, Scored, nab_folder, read_nab, score_at, score_best
from tests.benchmarks._reporting import Aims, Table

LEAST, AIM = 60.0, 67.3
MOST_MS = 1.0


def run(series: LabelledSeries) -> tuple[np.ndarray, float, int]:
    """Return the onset scores of a series, the processor time in s, and how many values repeated a time stamp."""
    detector, onset, repeated = StreamingDetector(), np.zeros(len(series.value)), 0
    begun, last = time.process_time(), np.datetime64("NaT")
    for i, (moment, value) in enumerate(zip(series.time, series.value, strict=True)):
        repeats = moment <= last
        repeated += bool(repeats)
        detector.update(value, None if repeats else moment)
        onset[i] = detector.onset
        last = moment if not repeats else last
    return onset, time.process_time() - begun, repeated


def row(table: Table, name: str, best: Scored, fixed: Scored) -> None:
    """Print one detector."""
    table.row(
        *(name, f"{best.score:.1f}", f"{best.found}/{best.windows}", best.false_alarms),
        *(f"{fixed.score:.1f}", fixed.found, fixed.false_alarms),
    )


def published(folder: Path) -> dict[str, str]:
    """Return the published scores for the same files."""
    with (folder / "subset_reference_scores_standard.csv").open(encoding="utf-8", newline="") as file:
        return {line["det"]: line["ours"] for line in csv.DictReader(file)}


def main() -> int:
    """Print the tables; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--by-file", action="store_true", help="also what each file adds to the score")
    parser.add_argument("--development", action="store_true", help="the series that settings were chosen on")
    options = parser.parse_args()
    folder = nab_folder()
    if folder is None:
        print("no outside data: set PDNOPT_TEST_DATA")
        return 0
    corpus = development_series(folder.parents[1]) if options.development else read_nab(folder)
    runs = [run(series) for series in corpus]
    values = sum(len(series.value) for series in corpus)
    per_ms = 1e3 * sum(took for _, took, _ in runs) / values
    print(
        f"{len(corpus)} series, {values} values, {sum(twice for _, _, twice in runs)} repeated time stamps\n"
    )
    head = (
        "detector, score, windows found, false alarms, score at a fixed threshold, found, false alarms there"
    )
    table = Table(*head.split(", "))
    onsets = [onset for onset, _, _ in runs]
    best, fixed = score_best(corpus, onsets), score_at(corpus, onsets, ALARM_SCORE)
    row(table, "pdnopt", best, fixed)
    if options.development:
        return 0
    for name, threshold, detect in (
        ("relativeEntropy", 0.5, relative_entropy),
        ("windowedGaussian", 1.0, windowed_gaussian),
    ):
        scores = [detect(series.value) for series in corpus]
        row(table, f"{name}, run here", score_best(corpus, scores), score_at(corpus, scores, threshold))
    for name, score in published(folder).items():
        table.row(f"{name}, published", score, *"-----")
    if options.by_file:
        print()
        files = Table("file", "adds to the score", "at the fixed threshold")
        for name, part in best.by_file.items():
            files.row(name, f"{part:.2f}", f"{fixed.by_file[name]:.2f}")
    print()
    aims = Aims()
    for what, scored in (("score", best), ("score at the fixed threshold", fixed)):
        aims.add(what, f"{scored.score:.1f}", f">= {LEAST:g} (ARTime {AIM:g})", scored.score >= LEAST)
    aims.add("ms a value", f"{per_ms:.2f}", f"<= {MOST_MS:g}", per_ms <= MOST_MS)
    return int(not aims.met)


if __name__ == "__main__":
    sys.exit(main())
