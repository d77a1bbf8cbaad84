"""Score of the Numenta Anomaly Benchmark by a scorer of our own.

Reads `alarms/nab/*/*.csv*` (timestamp, value) and `alarms/nab/combined_windows.json`. One
detector with its default settings reads each series value by value; it is told nothing of its
length, its range or its labels. The threshold is one for all series and each profile, the best,
as in the official procedure. Published anchors on the 38 series that are given: ARTime 75.80 and
65.83, CAD OSE 72.98 and 70.06 (both are told the range of each file beforehand).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from alarms.detection.sequences.detector import SequenceDetector
from benchmarks import frame
from benchmarks.alarms import _nab_corpus
from benchmarks.alarms._nab_score import Profile, corpus_score

SCALE = 10.0
"""Surprise that becomes a score of one half; scores are asked for between 0 and 1."""


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add a choice of series."""
    group.add_argument("--series", default="*/*", help="pattern of names, as 'realTweets/*'")


def run(context: frame.Context) -> Iterable[frame.Figure]:
    """Score every series that matches."""
    pattern = str(context.options.get("series") or "*/*")
    corpus = _nab_corpus.read_corpus(context, pattern)
    scores = [anomaly_scores(series) for series in corpus]
    labelled = [series.labelled for series in corpus]
    standard = corpus_score(labelled, scores, Profile.STANDARD)
    low_positives = corpus_score(labelled, scores, Profile.LOW_FALSE_POSITIVES)
    low_negatives = corpus_score(labelled, scores, Profile.LOW_FALSE_NEGATIVES)
    for series, gain in zip(labelled, standard.by_series, strict=True):
        print(f"{series.name}: {gain:+.2f} of {len(series.windows)}", file=sys.stderr)
    yield frame.at_least(
        f"standard profile, {len(corpus)} series",
        standard.value,
        75.8,
        anchor="ARTime 75.80, CAD OSE 72.98",
    )
    yield frame.at_least(
        "profile with few false positives",
        low_positives.value,
        70.0,
        anchor="CAD OSE 70.06, ARTime 65.83",
    )
    yield frame.informs(
        "profile with few false negatives",
        low_negatives.value,
        anchor="ARTime 81.45, CAD OSE 76.19",
    )
    yield frame.informs("threshold of the standard profile", standard.threshold)


def anomaly_scores(series: _nab_corpus.Series) -> NDArray[np.float64]:
    """Return the score of each row, from the values up to it."""
    detector = SequenceDetector()
    told = [
        detector.told(at, value)
        for at, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]
    surprises = np.array(told)
    return surprises / (surprises + SCALE)
