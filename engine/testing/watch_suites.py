"""What every part of watching keeps; subclass a suite and give it its fixture."""

from __future__ import annotations

import math

import pytest

from engine.model.alarms import Alarm, Severity, SuperAlarm, SuperAlarmState
from engine.model.identifiers import SuperAlarmId
from engine.model.signals import Layer, Signal
from engine.ports import CauseFinder, Detector, Grouper, Notifier, SignalSource


def gauge(at: float, value: float, name: str = "latency_ms_p99") -> Signal:
    """Return one value of a serving gauge."""
    return Signal(name=name, layer=Layer.SERVING, subject="model:p", at=at, value=value)


def reachable(at: float, value: float) -> Signal:
    """Return whether a cluster answered."""
    return Signal(
        name="reachable",
        layer=Layer.MACHINE,
        subject="cluster:c",
        at=at,
        value=value,
        labels={"cluster": "c"},
    )


def alarm(name: str, at: float, **labels: str) -> Alarm:
    """Return an alarm with an id of one's choice on a series of its own."""
    return Alarm(
        alarm_id=name,
        series=f"model:{name}|errors_share",
        subject=f"model:{name}",
        signal="errors_share",
        layer=Layer.SERVING,
        at=at,
        value=0.5,
        unit="",
        test="beta-binomial",
        statistic=9.0,
        p_value=1e-9,
        expected_low=0.0,
        expected_high=0.1,
        severity=Severity.CRITICAL,
        labels=labels,
        message="errors",
    )


def group(*alarms: Alarm, name: str = "SA-1") -> SuperAlarm:
    """Return an open super-alarm of some alarms."""
    members = alarms or (alarm("a", 1.0, pipeline="p"),)
    return SuperAlarm(
        super_alarm_id=SuperAlarmId(name),
        title="errors",
        severity=Severity.CRITICAL,
        state=SuperAlarmState.OPEN,
        opened_at=members[0].at,
        updated_at=members[-1].at,
        alarms=members,
    )


class DetectorSuite:
    """The contract of the port `Detector`. The fixture makes new detectors of one kind."""

    @pytest.fixture
    def detector(self) -> Detector:
        """Return a detector that has seen nothing."""
        raise NotImplementedError

    @pytest.fixture
    def twin(self) -> Detector:
        """Return another one of the same settings."""
        raise NotImplementedError

    def fault(self) -> list[Signal]:
        """Return signals that are normal for a while and then are not."""
        return [reachable(at, 1.0 if at < 50 else 0.0) for at in range(60)]

    def test_nothing_is_normal(self, detector: Detector) -> None:
        """No signals raise no alarms."""
        assert list(detector.observe([])) == []
        assert dict(detector.abnormal()) == {}

    def test_a_constant_series_is_normal(self, detector: Detector) -> None:
        """What never changes never alarms."""
        assert list(detector.observe([gauge(at, 5.0) for at in range(100)])) == []

    def test_a_fault_is_found(self, detector: Detector) -> None:
        """A cluster that stops to answer raises an alarm, and its series is abnormal."""
        alarms = detector.observe(self.fault())
        assert alarms[0].series == "cluster:c|reachable"
        assert alarms[0].series in detector.abnormal()

    def test_numbers_are_finite(self, detector: Detector) -> None:
        """Alarms can be stored: no infinities, p-values between 0 and 1."""
        for found in detector.observe(self.fault()):
            numbers = (found.statistic, found.expected_low, found.expected_high, found.value)
            assert all(math.isfinite(number) for number in numbers)
            assert 0 <= found.p_value <= 1

    def test_the_same_signals_raise_the_same_alarms(
        self, detector: Detector, twin: Detector
    ) -> None:
        """Ids and all else follow from the signals, so that the state can be rebuilt."""
        assert list(detector.observe(self.fault())) == list(twin.observe(self.fault()))

    def test_batches_do_not_matter(self, detector: Detector, twin: Detector) -> None:
        """One by one or all at once is the same."""
        one_by_one = [a for signal in self.fault() for a in detector.observe([signal])]
        assert one_by_one == list(twin.observe(self.fault()))

    def test_it_does_not_look_ahead(self, detector: Detector, twin: Detector) -> None:
        """What comes later changes no earlier alarm."""
        whole = detector.observe(self.fault())
        part = twin.observe(self.fault()[:55])
        assert list(whole)[: len(part)] == list(part)

    def test_observing_again_changes_nothing(self, detector: Detector) -> None:
        """Signals that were observed already are ignored."""
        detector.observe(self.fault())
        before = dict(detector.abnormal())
        assert list(detector.observe(self.fault())) == []
        assert dict(detector.abnormal()) == before

    def test_a_series_recovers(self, detector: Detector) -> None:
        """After enough normal values nothing is abnormal any more."""
        detector.observe([*self.fault(), *(reachable(at, 1.0) for at in range(60, 500))])
        assert dict(detector.abnormal()) == {}


class GrouperSuite:
    """The contract of the port `Grouper`."""

    @pytest.fixture
    def grouper(self) -> Grouper:
        """Return a grouper."""
        raise NotImplementedError

    def test_no_alarms_change_nothing(self, grouper: Grouper) -> None:
        """Without alarms no group is new or changed."""
        assert list(grouper.group([group()], [], 2.0)) == []

    def test_an_alarm_opens_a_group(self, grouper: Grouper) -> None:
        """The id follows from the alarm."""
        first = grouper.group([], [alarm("a", 1.0, pipeline="p")], 2.0)
        again = grouper.group([], [alarm("a", 1.0, pipeline="p")], 9.0)
        assert [g.super_alarm_id for g in first] == [g.super_alarm_id for g in again]
        assert [a.alarm_id for a in first[0].alarms] == ["a"]

    def test_related_alarms_are_one(self, grouper: Grouper) -> None:
        """Alarms of one pipeline at one time are one group, which says why."""
        found = grouper.group([], [alarm(name, 1.0, pipeline="p") for name in "abc"], 2.0)
        assert [len(g.alarms) for g in found] == [3]
        assert found[0].because

    def test_unrelated_alarms_are_apart(self, grouper: Grouper) -> None:
        """Alarms that share nothing but the time are two groups."""
        alarms = [alarm("a", 1.0, pipeline="p"), alarm("b", 1.0, pipeline="q")]
        assert len(grouper.group([], alarms, 2.0)) == 2

    def test_a_group_keeps_its_id_as_it_grows(self, grouper: Grouper) -> None:
        """An alarm that joins changes the group, not its id."""
        (opened,) = grouper.group([], [alarm("a", 1.0, pipeline="p")], 2.0)
        (grown,) = grouper.group([opened], [alarm("b", 3.0, pipeline="p")], 4.0)
        assert grown.super_alarm_id == opened.super_alarm_id
        assert len(grown.alarms) == 2

    def test_an_alarm_counts_once(self, grouper: Grouper) -> None:
        """An alarm that is in an open group already changes nothing."""
        (opened,) = grouper.group([], [alarm("a", 1.0, pipeline="p")], 2.0)
        assert list(grouper.group([opened], [alarm("a", 1.0, pipeline="p")], 4.0)) == []

    def test_the_order_does_not_matter(self, grouper: Grouper) -> None:
        """The same alarms in another order are the same groups."""
        alarms = [alarm(name, at, pipeline="p") for at, name in enumerate("abcd")]
        assert list(grouper.group([], alarms, 9.0)) == list(grouper.group([], alarms[::-1], 9.0))


class CauseFinderSuite:
    """The contract of the port `CauseFinder`."""

    @pytest.fixture
    def finder(self) -> CauseFinder:
        """Return a cause finder."""
        raise NotImplementedError

    def test_it_is_never_empty(self, finder: CauseFinder) -> None:
        """Without any signal there is still a cause to begin with."""
        assert finder.causes(group(), [], [])

    def test_beliefs_sum_to_one_and_fall(self, finder: CauseFinder) -> None:
        """Beliefs are shares, the likeliest first."""
        signals = [gauge(at, 5.0) for at in range(10)]
        beliefs = [cause.belief for cause in finder.causes(group(), signals, [])]
        assert sum(beliefs) == pytest.approx(1)
        assert beliefs == sorted(beliefs, reverse=True)

    def test_every_cause_can_be_settled(self, finder: CauseFinder) -> None:
        """Each says which check would settle it."""
        assert all(cause.settle for cause in finder.causes(group(), [], []))

    def test_it_is_pure(self, finder: CauseFinder) -> None:
        """The same arguments give the same causes."""
        signals = [gauge(at, 5.0) for at in range(10)]
        once = finder.causes(group(), signals, [])
        assert list(once) == list(finder.causes(group(), signals, []))


class NotifierSuite:
    """The contract of the port `Notifier`."""

    @pytest.fixture
    def notifier(self) -> Notifier:
        """Return a notifier that has told nothing."""
        raise NotImplementedError

    def messages(self) -> list[str]:
        """Return the ids of the super-alarms of all messages that people see."""
        raise NotImplementedError

    def test_a_message_is_edited_in_place(self, notifier: Notifier) -> None:
        """A second call with the same group leaves one message."""
        notifier.notify(group())
        notifier.notify(group())
        assert self.messages() == ["SA-1"]

    def test_every_group_has_a_message(self, notifier: Notifier) -> None:
        """Another group is another message."""
        notifier.notify(group())
        notifier.notify(group(name="SA-2"))
        assert sorted(self.messages()) == ["SA-1", "SA-2"]


class SignalSourceSuite:
    """The contract of the port `SignalSource`. The fixture's source has signals to deliver."""

    @pytest.fixture
    def source(self) -> SignalSource:
        """Return a source with at least one signal."""
        raise NotImplementedError

    def test_it_delivers_in_order_of_time(self, source: SignalSource) -> None:
        """Signals come oldest first."""
        signals, _ = source.read("")
        times = [signal.at for signal in signals]
        assert times
        assert times == sorted(times)

    def test_a_position_is_gone_on_from(self, source: SignalSource) -> None:
        """What was read is not delivered again."""
        signals, position = source.read("")
        again, _ = source.read(position)
        assert not {(s.series, s.at) for s in signals} & {(s.series, s.at) for s in again}
