"""Judges what came of each request, counts it, and keeps everything that must not happen."""

import collections
import hashlib
import json
import re
import time

from wire import content

# The gateway's possible errors about a service while instances are disturbed.
STORM = {502, 503, 504}
# The maximum number of violations of one kind that are printed in full; names and numbers do not distinguish kinds.
MOST_TOLD = 3
NAMES_AND_NUMBERS = re.compile(r"/api/\S+|\d+|, with .*|b'.*|\{.*")
REQUEST_ID = re.compile(r"[1-9A-HJ-NP-Za-km-z]{22}")
# How often a request is sent at most.
MOST_ATTEMPTS = 3
MAY_BE_REPEATED = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}


class Asked:
    """A request, and what may come of it: the statuses of the service, and those of the gateway itself."""

    def __init__(self, kind, method, target, *, version="1.1", ask_id="", size=None, statuses=(200,), refusals=(), user="-",
                 body=None):
        self.kind, self.method, self.target, self.version, self.id = kind, method, target, version, ask_id
        self.size, self.statuses, self.refusals = size, set(statuses), set(refusals)
        self.user, self.body = user, body
        self.began = time.monotonic()

    def has_body(self, status):
        return self.size is not None and self.method != "HEAD" and status == 200


class Book:
    def __init__(self, weather):
        self.weather = weather
        self.outcomes = collections.defaultdict(collections.Counter)
        self.latencies = collections.defaultdict(list)
        self.violations, self.sorts = [], collections.Counter()
        # The status of each answer, by request id.
        self.answers = {}
        # The SHA-256 of the sent body, by the id in the path; `None` if it must not arrive complete.
        self.uploads = {}
        # The methods of requests whose connection was closed without a response, by path.
        self.closed = {}
        # The bytes after a refused head.
        self.hidden = set()

    def violation(self, kind, what):
        sort = kind, NAMES_AND_NUMBERS.sub("…", what)
        self.sorts[sort] += 1
        self.outcomes[kind]["VIOLATION"] += 1
        if self.sorts[sort] <= MOST_TOLD:
            self.violations.append(f"{time.strftime('%H:%M:%S')} {kind}: {what}")

    def note(self, kind, outcome):
        self.outcomes[kind][outcome] += 1

    def answered(self, asked, answer):
        """A whole answer has come."""
        calm = self.weather.was_calm_since(asked.began)
        self.note(asked.kind, str(answer.status))
        self.latencies[asked.kind, calm].append(time.monotonic() - asked.began)
        for fault in self.faults(asked, answer, calm):
            self.violation(asked.kind, f"{asked.method} {asked.target}: {fault}")

    def closed_on(self, asked):
        """Nothing has come. That is so if the service's answer broke off before the gateway had begun to pass it on, and then it
        has logged it so."""
        self.note(asked.kind, "closed")
        self.closed[asked.target] = asked.method
        if self.weather.was_calm_since(asked.began):
            self.violation(asked.kind, f"{asked.method} {asked.target}: closed without an answer in calm weather")

    def broke_off(self, asked, answer, *, allowed=False):
        """A part of an answer has come."""
        self.note(asked.kind, "broken off")
        if self.weather.was_calm_since(asked.began) and not allowed:
            self.violation(asked.kind, f"{asked.method} {asked.target}: broken off in calm weather after {answer.status}, "
                                       f"{len(answer.body)} bytes")
        if answer.status == 0:
            self.violation(asked.kind, f"{asked.method} {asked.target}: broken off within the head")
        elif answer.header("x-answer-id") is None:
            self.violation(asked.kind, f"{asked.method} {asked.target}: broken off, but {answer.status} is the gateway's own")
        else:
            for fault in self.faults_of_service(asked, answer, whole=False):
                self.violation(asked.kind, f"{asked.method} {asked.target}: broken off, and {fault}")

    def faults(self, asked, answer, calm):
        request_id = answer.header("x-request-id")
        if len(answer.all("x-request-id")) != 1 or not REQUEST_ID.fullmatch(request_id):
            yield f"the request id {answer.all('x-request-id')}"
        elif request_id in self.answers:
            yield f"the request id {request_id} for the second time"
        self.answers[request_id] = answer.status
        if answer.header("x-answer-id") is not None:
            has_no_end = answer.until_close or "/close/" in asked.target
            yield from self.faults_of_service(asked, answer, whole=calm or not has_no_end)
            return
        allowed = asked.refusals if calm else asked.refusals | STORM
        if answer.status not in allowed:
            yield f"the gateway answers {answer.status} in {'calm weather' if calm else 'a storm'}: {bytes(answer.body[:200])!r}"
        if answer.status >= 400 and asked.method != "HEAD":
            yield from faults_of_problem(answer, request_id)

    @staticmethod
    def faults_of_service(asked, answer, *, whole):
        if answer.header("x-answer-id") != asked.id:
            yield f"the answer to {answer.header('x-answer-id')}"
            return
        if answer.status not in asked.statuses:
            yield f"the status {answer.status}"
        if answer.header("x-seen-user") not in (None, asked.user):
            yield f"the service was told the user {answer.header('x-seen-user')}, not {asked.user}"
        if asked.has_body(answer.status):
            expected = content(asked.id, asked.size)
            if answer.body != (expected if whole else expected[:len(answer.body)]):
                yield f"{len(answer.body)} bytes that are not the {asked.size} of this answer"
        elif answer.body and asked.size is not None:
            yield f"a body of {len(answer.body)} bytes at {answer.status}"
        for name, value in answer.trailers:
            if whole and name == "x-sum" and value != hashlib.sha256(answer.body).hexdigest():
                yield "the trailer of another answer"
        if asked.body is not None and whole and answer.header("x-upload-sum") not in (None, digest(asked.body)):
            yield "the service has got another body"

    def check_journals(self, folder):
        """What the instances have written down. Gives the number of requests that were sent more than once."""
        heads, methods = collections.Counter(), {}
        for journal in folder.glob("journal-*"):
            for line in journal.read_text(errors="replace").splitlines():
                word, _, rest = line.partition(" ")
                ask_id, _, what = rest.partition(" ")
                if word == "head":
                    heads[ask_id] += 1
                    methods[ask_id] = what
                    if ask_id in self.hidden:
                        self.violation("service", f"what stood behind a refused head has arrived: {ask_id}")
                elif word == "whole" and ask_id in self.uploads:
                    if self.uploads[ask_id] != what:
                        which = "half of a body" if self.uploads[ask_id] is None else "another body"
                        self.violation("service", f"{ask_id}: {which} has arrived as a whole one")
                elif word == "bad":
                    self.violation("service", f"it was sent {rest}")
        for ask_id, times in heads.items():
            most = MOST_ATTEMPTS if methods[ask_id] in MAY_BE_REPEATED else 1
            if times > most:
                self.violation("service", f"{methods[ask_id]} {ask_id} was sent {times} times")
        return len(heads), sum(times > 1 for times in heads.values())

    def check_log(self, log):
        """Each answer has one line with its status, and nothing has panicked."""
        logged, broken = collections.Counter(), set()
        for line in log.read_text(errors="replace").splitlines():
            if "panicked" in line or '"level":"ERROR"' in line:
                self.violation("log", line[:400])
            if '"target":"access"' in line and line.startswith("{"):
                entry = json.loads(line)
                logged[entry["request_id"]] += 1
                if entry["status"] < 400 and not entry["complete"]:
                    broken.add(entry["path"])
                if self.answers.get(entry["request_id"], entry["status"]) != entry["status"]:
                    self.violation("log", f"{self.answers[entry['request_id']]} was logged as {line[:400]}")
        for request_id in self.answers:
            if logged[request_id] != 1:
                self.violation("log", f"{logged[request_id]} lines for the request {request_id}")
        for target in self.closed.keys() - broken:
            asked = f"{self.closed[target]} {target}"
            self.violation("log", f"closed without an answer, though the service's did not break off: {asked}")
        return sum(logged.values())

    def table(self):
        yield "| kind | what came of it | p50 / p99 in calm weather, ms | in storms |"
        yield "|---|---|---|---|"
        for kind, outcomes in sorted(self.outcomes.items()):
            told = ", ".join(f"{outcome}: {count:,}" for outcome, count in sorted(outcomes.items()))
            yield f"| {kind} | {told} | {percentiles(self.latencies[kind, True])} | {percentiles(self.latencies[kind, False])} |"


def faults_of_problem(answer, request_id):
    try:
        problem = json.loads(answer.body)
        told = problem["status"], problem["request_id"], answer.header("content-type")
    except (ValueError, KeyError, TypeError):
        told = bytes(answer.body[:200])
    if told != (answer.status, request_id, "application/problem+json"):
        yield f"{answer.status} is no problem document: {told}"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def percentiles(seconds):
    if not seconds:
        return "–"
    ordered = sorted(seconds)
    return " / ".join(f"{ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3:,.1f}" for share in (0.5, 0.99))
