"""The page of an error code, as `berth help CODE` and `/help/CODE` print it."""

from __future__ import annotations

import textwrap

from api.report.tables import WIDTH
from engine.documents import CODES, Code
from engine.model.errors import NotFoundError

_OURS = (
    Code(
        "U002",
        "Nobody is there to answer",
        "The command would change something and asks first. Without a terminal nobody can "
        "answer; `--yes` answers beforehand.",
    ),
    Code(
        "U003",
        "You said no",
        "Nothing was changed.",
    ),
    Code(
        "U004",
        "The port is in use",
        "Another program, or another engine, listens on the port. Choose another one with "
        "`--port`, or `--port 0` for a free one.",
    ),
    Code(
        "U010",
        "A setting has a wrong value",
        "Settings come from arguments, from variables such as BERTH_PORT, and from `berth.toml` "
        "in the data folder, in this order. The message names which of them gave the value, and "
        "what is needed.",
    ),
    Code(
        "U011",
        "Unknown setting",
        "`berth.toml` has a key that Berth does not know. A misspelt one is never silently "
        "ignored.",
    ),
    Code(
        "U012",
        "A file of the settings cannot be read",
        "The message names the file and what the system said about it.",
    ),
    Code(
        "U013",
        "No past demand was given",
        "Capacity planning needs past demand by pool: a CSV file with one row an hour, named by "
        "`--demand` or BERTH_DEMAND.",
    ),
    Code(
        "U030",
        "The settings of the Kubernetes clusters have a fault",
        "`kubernetes.toml` in the data folder (or the file named by `kubernetes`) has a wrong "
        "value or an unknown key, its address cannot be listened on, or the extra `kubernetes` is "
        "not installed. All faults are listed at once.",
    ),
    Code(
        "U031",
        "The kubeconfig is not used",
        "It cannot be read, the context is not in it, others may read it, or it asks for what is "
        "not safe: no check of the server's certificate, or a command to sign in that is not in "
        "`exec_allowed`.",
    ),
    Code(
        "G020",
        "The cluster refuses it",
        "A rule of the Kubernetes cluster (rights, an admission policy, its validation) forbids "
        "the request. The cluster's own words are in the message. The task fails and is not "
        "tried again; `berth doctor` compares the rights with those that are needed.",
    ),
    Code(
        "G021",
        "A server is no Job",
        "Tasks that end are Jobs on Kubernetes; one of kind `serve` is a Deployment and a Service.",
    ),
    Code(
        "R020",
        "The list is too old",
        "The Kubernetes server no longer knows the state that was asked for. Everything is read "
        "anew.",
    ),
    Code(
        "R021",
        "The cluster asks for patience",
        "The Kubernetes server is overloaded, had a fault of its own, or a quota is full. It is "
        "asked again after a pause that grows, and never earlier than it says.",
    ),
    Code(
        "G002",
        "The pipeline is running already",
        "A second run of a pipeline would fight the first one over its model server. Wait for "
        "it or cancel it.",
    ),
    Code(
        "G003",
        "A task has no place",
        "A plan in mode `most-sla` may leave tasks out. Such a plan cannot be applied: change a "
        "limit and plan again.",
    ),
    Code(
        "G004",
        "The idempotency key was used before",
        "A key names one request. It was used to apply another plan.",
    ),
    Code(
        "G005",
        "Only local clusters can be failed on purpose",
        "`berth cluster fail` is an exercise for clusters of this machine; Berth never turns "
        "off those of others.",
    ),
    Code(
        "P001",
        "The policy refuses the image",
        "What may be deployed is decided by a policy: who must have signed and built an image, how "
        "bad its findings may be, in which formats its files are. Pickles are refused unless the "
        "policy names a signed digest. `berth image verify NAME` gives each reason, `berth image "
        "policy` what the policy asks for.",
    ),
    Code(
        "A007",
        "Who sends this is not known",
        "Alerts and values are taken from senders with a token: a file in the folder `senders` of "
        "the data folder, named after the sender. Send its content as `Authorization: Bearer`.",
    ),
    Code(
        "A002",
        "A sender sent more than its share",
        "Each sender may send so many alerts and values a minute, so that one that floods takes "
        "nothing from the others. The same request succeeds later.",
    ),
    Code(
        "A003",
        "A packed body unpacks to too much",
        "What unpacks to more than 32 MiB is refused: send smaller batches.",
    ),
    Code(
        "A004",
        "Remote write needs snappy",
        "Prometheus packs values by snappy. Install Berth with the extra `prometheus`.",
    ),
    Code(
        "A008",
        "Remote write 2.0 is not read",
        "Prometheus sends version 1.0 unless `protobuf_message` in `remote_write` asks for "
        "another. Read as 1.0 a request of 2.0 would look empty, and its values would be lost.",
    ),
    Code(
        "A006",
        "A target of notifications refuses a message",
        "The target answered that it will never take it: a wrong address, token or channel. "
        "`berth notify test --send` tries it again.",
    ),
    Code(
        "H403",
        "Another site sent the request",
        "A page of another site made a browser ask Berth for a change. Berth refuses that: it has "
        "no passwords on its own machine, and such a page could otherwise act for you.",
    ),
    Code(
        "H413",
        "The request is too large",
        "The body is above the setting `request_bytes_max`.",
    ),
    Code(
        "M001",
        "The requirements of a model cannot be installed",
        "The message holds the words of uv or pip, with the requirement at fault. Nothing was "
        "built, and what serves stays.",
    ),
    Code(
        "M002",
        "`model.toml` has faults",
        "All of them are named at once, each with what may stand there.",
    ),
    Code(
        "M003",
        "A model's files do not fit together",
        "The examples in `golden.json`, the weights in `weights.json` and `model.toml` have to "
        "agree; the message names the file and the row.",
    ),
    Code(
        "M004",
        "A model fails its tests",
        "Size, schema, not-a-number, expected answers, latency, and where `history.json` tells of "
        "it a loss that falls. The message has each test that does not hold.",
    ),
    Code(
        "M005",
        "A webhook's message is old or came before",
        "Messages are taken once, and within five minutes where their time is signed. Push again.",
    ),
    Code(
        "M006",
        "A webhook's sender is not proven",
        "Signature or token do not fit the secret that `berth model track` shows, or the push is "
        "to another project.",
    ),
)

_ALL = {page.code: page for page in (*CODES.values(), *_OURS)}


def meaning(code: str) -> str:
    """Return in one paragraph what a code means, "" where no page is known."""
    page = _ALL.get(code)
    return f"{page.title}. {page.explanation}" if page else ""


def code_text(code: str) -> str:
    """Return the page of a code, or of `all` a list of every code with its title.

    Raises:
        NotFoundError: when there is no such code.
    """
    if code.lower() in {"", "all"}:
        return "\n".join(f"{name}  {_ALL[name].title}" for name in sorted(_ALL))
    page = _ALL.get(code.upper())
    if page is None:
        raise NotFoundError(f"there is no error code {code!r}", fix="berth help all lists them")
    return f"{page.code}: {page.title}\n\n{textwrap.fill(page.explanation, WIDTH)}"
