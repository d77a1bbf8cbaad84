"""Pages over a ledger."""

import dataclasses

import pytest
from starlette.testclient import TestClient

from engine.model import alarms, checks, dispatches, feedback, records
from engine.ports import Ledger
from tests.unit.web.conftest import AT, Done

PATHS = {
    "/": "Overview",
    "/plans": "Plans",
    "/plans/p-aaaaaaaa": "Plan p-aaaaaaaa",
    "/runs": "Runs",
    "/runs/r-1": "Run r-1 of heart",
    "/alarms": "Super-alarms",
    "/alarms/SA-1": "features of heart moved",
    "/capacity": "Capacity",
    "/capacity/c-1": "Capacity for the next 2 days",
    "/fleet": "Fleet",
}


@pytest.mark.parametrize("path", PATHS)
def test_every_page_has_its_heading(path: str, filled: Ledger, browser: TestClient) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200
    assert f"<h1>{PATHS[path]}</h1>" in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_every_page_forbids_what_it_does_not_need(
    path: str, filled: Ledger, browser: TestClient
) -> None:
    policy = browser.get(path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "No signal has been seen yet"),
        ("/plans", "berth plan FILE"),
        ("/runs", "berth apply PLAN"),
        ("/alarms", "No super-alarm"),
        ("/capacity", "berth capacity DEMAND"),
    ],
)
def test_an_empty_page_says_what_to_do(path: str, said: str, browser: TestClient) -> None:
    assert said in browser.get(path).text


def test_without_super_alarms_the_page_says_what_is_watched(
    filled: Ledger, browser: TestClient
) -> None:
    filled.commit("test.forget", [records.Delete(records.SUPER_ALARMS, "SA-1")])
    assert "1 signal is watched, the last one was seen at" in browser.get("/").text


def test_what_users_wrote_is_escaped(filled: Ledger, browser: TestClient) -> None:
    text = browser.get("/alarms/SA-1").text
    assert "schema &lt;changed&gt;" in text
    assert "<changed>" not in text


def test_a_super_alarm_is_told_in_the_order_of_the_first_minutes(
    filled: Ledger, browser: TestClient
) -> None:
    text = browser.get("/alarms/SA-1").text
    order = ["Likely cause", "What changed", "What it may harm", "What was done"]
    order += ["Why these 2 alarms are one", "Timeline", "Like it before", "Notes and hand-over"]
    places = [text.index(f"<h2>{name}") for name in order]
    assert places == sorted(places)


def test_a_merged_super_alarm_is_found_by_its_old_id(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    merged = dataclasses.replace(group, aliases=("SA-0",))
    filled.commit("test.merge", [records.Put(records.SUPER_ALARMS, merged)])
    assert browser.get("/alarms/SA-0").status_code == 200
    assert browser.get("/alarms/SA-9").status_code == 404


def test_a_resolved_super_alarm_can_only_be_judged(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    over = dataclasses.replace(group, state=alarms.SuperAlarmState.RESOLVED)
    filled.commit("test.resolve", [records.Put(records.SUPER_ALARMS, over)])
    text = browser.get("/alarms/SA-1").text
    assert text.count("<button") == 1
    assert 'action="/alarms/SA-1/feedback"' in text
    assert "All is well" in browser.get("/").text


def test_a_super_alarm_whose_cause_is_not_believed_enough_says_so(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    cause = dataclasses.replace(group.causes[0], belief=0.5, settled=None, settle="look at it")
    weak = dataclasses.replace(group, causes=(cause,), act_above=0.6)
    filled.commit("test.weak", [records.Put(records.SUPER_ALARMS, weak)])
    text = browser.get("/alarms/SA-1").text
    said = "about its likely cause: the belief in it, 0.50, is below 0.6; to settle it: look at it."
    assert said in text
    assert "no policy asks for an action" not in text


def test_a_super_alarm_of_nothing_known_is_still_a_page(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    bare = dataclasses.replace(
        group, super_alarm_id="SA-2", alarms=(), causes=(), pipelines=("lung",), note="mine"
    )
    filled.commit("test.bare", [records.Put(records.SUPER_ALARMS, bare)])
    text = browser.get("/alarms/SA-2").text
    assert "No cause is known yet" in text
    assert "no policy asks for an action" in text


def test_tasks_stand_in_the_order_of_the_pipeline(
    filled: Ledger, browser: TestClient, task: dispatches.TaskRun
) -> None:
    others = [dataclasses.replace(task, task=name) for name in ("serve", "added")]
    filled.commit("test.tasks", [records.Put(records.TASK_RUNS, one) for one in others])
    text = browser.get("/runs/r-1").text
    places = [text.index(f">{name}</a></th>") for name in ("etl", "serve", "added")]
    assert places == sorted(places)


def test_a_plan_lists_runs_that_left_it_since(
    filled: Ledger, browser: TestClient, run: dispatches.Run
) -> None:
    moved = dataclasses.replace(run, plan_id="p-other")
    filled.commit("test.move", [records.Put(records.RUNS, moved)])
    assert 'href="/runs/r-1"' in browser.get("/plans/p-aaaaaaaa").text


def test_acknowledging_leads_back_to_the_super_alarm(
    filled: Ledger, browser: TestClient, done: Done
) -> None:
    answer = browser.post("/alarms/SA-1/acknowledge")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/alarms/SA-1")
    assert done.taken == ["SA-1"]


def test_silencing_takes_hours_and_a_reason(
    filled: Ledger, browser: TestClient, done: Done
) -> None:
    answer = browser.post("/alarms/SA-1/silence", data={"hours": "2", "because": "known"})
    assert answer.status_code == 303
    assert done.silenced == [("SA-1", 7_200.0, "known")]


@pytest.mark.parametrize(
    "form", [{"hours": "2"}, {"hours": "0", "because": "x"}, {"hours": "999", "because": "x"}]
)
def test_a_form_with_faults_changes_nothing(
    form: dict[str, str], browser: TestClient, done: Done
) -> None:
    answer = browser.post("/alarms/SA-1/silence", data=form)
    assert answer.status_code == 422
    assert "The form has faults" in answer.text
    assert done.silenced == []


def test_static_files_are_kept_for_ever_under_an_address_with_their_hash(
    browser: TestClient,
) -> None:
    address = browser.get("/").text.partition('href="/static/berth.css')[2].partition('"')[0]
    answer = browser.get(f"/static/berth.css{address}")
    assert address.startswith("?v=")
    assert "immutable" in answer.headers["Cache-Control"]


def test_people_judge_note_split_and_merge_on_the_page(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    two = [
        *group.alarms,
        dataclasses.replace(group.alarms[0], alarm_id="a-9", at=AT + 9, series="x|y", subject="x"),
    ]
    more = dataclasses.replace(group, alarms=tuple(two))
    filled.commit("test.more", [records.Put(records.SUPER_ALARMS, more)])
    for step, form in (
        ("feedback", {"verdict": "wrong", "cause": "a disk"}),
        ("note", {"text": "look here"}),
        ("acknowledge", {"who": "ann"}),
        ("split", {"matcher": "subject=x"}),
    ):
        assert browser.post(f"/alarms/SA-1/{step}", data=form).status_code == 303
    text = browser.get("/alarms/SA-1").text
    for expected in ("it was a disk", "look here", "taken by ann", "Why these 2 alarms are one"):
        assert expected in text
    apart = next(
        one.value.super_alarm_id
        for one in filled.select(records.SUPER_ALARMS)
        if one.value.split_from
    )
    answer = browser.post("/alarms/SA-1/merge", data={"other": apart})
    assert answer.headers["location"] == "/alarms/SA-1"
    assert "First cause right: 2026-09 0 % (0 of 1)." in browser.get("/alarms").text


def test_people_judge_checks_on_the_page(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    checked = checks.Checked(
        kind=checks.CheckKind.ROWS,
        subject="task:heart/etl",
        verdict=checks.Verdict.CONFIRMS,
        message="half of the rows",
        at=AT + 7,
        took_seconds=0.2,
    )
    cause = dataclasses.replace(group.causes[0], checked=checked)
    filled.commit(
        "test.checked",
        [records.Put(records.SUPER_ALARMS, dataclasses.replace(group, causes=(cause,)))],
    )
    text = browser.get("/alarms/SA-1").text
    assert f'value="{checked.kind.value}"' in text
    assert "says that this check" not in text
    form = {"check": checked.kind.value, "subject": checked.subject, "verdict": "wrong"}
    assert browser.post("/alarms/SA-1/check-feedback", data=form).status_code == 303
    text = browser.get("/alarms/SA-1").text
    assert "a person on the page says that this check is wrong." in text
    silent = dataclasses.replace(checked, verdict=checks.Verdict.OPEN)
    cause = dataclasses.replace(cause, checked=silent)
    filled.commit(
        "test.silent",
        [records.Put(records.SUPER_ALARMS, dataclasses.replace(group, causes=(cause,)))],
    )
    assert "check-feedback" not in browser.get("/alarms/SA-1").text


def test_what_berth_did_already_is_offered_as_that(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm, action: alarms.Action
) -> None:
    def lost(cluster: str) -> str:
        cause = dataclasses.replace(
            group.causes[0], kind=alarms.CauseKind.INFRASTRUCTURE, subject=f"cluster:{cluster}"
        )
        changed = dataclasses.replace(group, causes=(cause,))
        health = records.ClusterHealth(cluster=cluster, reachable=False, since=AT)
        filled.commit(
            "test.lost",
            [
                records.Put(records.SUPER_ALARMS, changed),
                records.Put(records.CLUSTER_HEALTH, health),
            ],
        )
        return browser.get("/alarms/SA-1").text

    done = dataclasses.replace(
        action,
        action_id="A-2",
        kind=alarms.ActionKind.REPLAN,
        state=alarms.ActionState.DONE,
        subject="cluster:west",
    )
    filled.commit("test.replanned", [records.Put(records.ACTIONS, done)])
    text = lost("west")
    assert "Berth can plan anew around it, as it did already." in text
    assert ">Do it again</button>" in text
    text = lost("east")
    assert "Berth can plan anew around it." in text
    assert ">Do it</button>" in text


@pytest.mark.parametrize(
    ("query", "is_shown"),
    [
        ("level=critical&state=&pipeline=&text=", True),
        ("level=info", False),
        ("state=open&pipeline=heart", True),
        ("state=silenced", False),
        ("pipeline=other", False),
        ("text=CHOL", True),
        ("text=disk", False),
        ("level=purple", False),
    ],
)
def test_the_list_shows_what_its_address_asks_for(
    filled: Ledger, browser: TestClient, query: str, *, is_shown: bool
) -> None:
    del filled
    text = browser.get(f"/alarms?{query}").text
    assert ('href="/alarms/SA-1"' in text) is is_shown
    assert ("No super-alarm is like that." in text) is not is_shown
    given = query.partition("&state=&")[0].replace("&", "&amp;")
    assert f'hx-get="/alarms?{given}"' in text


def test_the_list_shows_silences_and_what_they_fold(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    silence = feedback.Silence(
        silence_id="S-1",
        matchers=(feedback.Matcher(name="signal", value="rows"),),
        who="ann",
        because="a test",
        since=AT,
        until=AT + 3_600,
    )
    folding = feedback.Folding(
        alarm=group.alarms[0], at=AT, reason="silenced by ann", silence_id="S-1"
    )
    filled.commit(
        "test.silence",
        [records.Put(records.SILENCES, silence), records.Put(records.FOLDINGS, folding)],
    )
    text = browser.get("/alarms").text
    assert "signal=rows" in text
    assert "silenced by ann" in text


def test_runbooks_are_links_only_where_they_are_addresses(
    filled: Ledger, browser: TestClient, group: alarms.SuperAlarm
) -> None:
    raised = [
        dataclasses.replace(alarm, labels={"runbook_url": address})
        for alarm, address in zip(
            group.alarms, ("https://run.book/x", "javascript:alert(1)"), strict=True
        )
    ]
    told = dataclasses.replace(group, alarms=tuple(raised))
    filled.commit("test.runbook", [records.Put(records.SUPER_ALARMS, told)])
    text = browser.get("/alarms/SA-1").text
    assert 'href="https://run.book/x"' in text
    assert 'href="javascript' not in text
