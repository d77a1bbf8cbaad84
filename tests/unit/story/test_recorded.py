"""The story's closing figures are sums over the windows that the store holds."""

from collections.abc import Sequence

from api.cli.story import recorded
from engine.model.signals import Layer, Signal

STRETCH = recorded.Stretch(name="calm", began_at=100.0, ended_at=110.0)


def stored(name: str, at: float, value: float, weight: float = 1.0) -> Signal:
    return Signal(
        name=name, layer=Layer.SERVING, subject="model:heart", at=at, value=value, weight=weight
    )


SIGNALS = [
    stored("requests", 99.0, 50),
    stored("requests", 101.0, 20),
    stored("requests", 102.0, 30),
    stored("requests", 111.0, 70),
    stored("errors_share", 101.0, 0.1, 20),
    stored("quality", 101.0, 0.5, 10),
    stored("quality", 102.0, 1.0, 30),
]


def read(series: str, since: float) -> Sequence[Signal]:
    return [s for s in SIGNALS if s.series == series and s.at > since]


def nothing(series: str, since: float) -> Sequence[Signal]:
    return []


def test_windows_of_the_stretch_are_added_up() -> None:
    told = {name: figure.value for name, figure in recorded.figures(read, "heart", STRETCH).items()}
    assert told == {"calm: requests": 50, "calm: requests failed": 2, "calm: quality": 0.875}


def test_each_figure_names_its_series_and_times() -> None:
    told = recorded.figures(read, "heart", STRETCH)
    assert told["calm: requests"].source == "model:heart|requests, 00:01:40Z to 00:01:50Z"


def test_without_labels_there_is_no_quality() -> None:
    told = recorded.figures(nothing, "heart", STRETCH)
    assert {name: figure.value for name, figure in told.items()} == {
        "calm: requests": 0,
        "calm: requests failed": 0,
    }
