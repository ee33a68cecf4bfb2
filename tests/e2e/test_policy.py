"""A project's policy: what it says, what may be said, who may say it, that it is said once, and what new
runs take from it."""
import json
import subprocess
import time

import harness
from harness import NS, Batch, check, cli, equal

DEFAULTS = {"window": "30s", "grace": "30s",
            "tiers": [{"every": "30s", "keep": "14d"}, {"every": "5m", "keep": "90d"},
                      {"every": "1h", "keep": "2y"}, {"every": "1d", "keep": "forever"}],
            "raw_keep": "7d", "log_keep": "30d"}
FIELDS = tuple(DEFAULTS)


def policy(client):
    answer = client.get("/policy")
    equal(answer.status, 200, f"GET policy: {answer}")
    return answer.json()


def put(client, change, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    body = change if isinstance(change, (str, bytes)) else json.dumps(change)
    return client.request("PUT", client.path("/policy"), body, {"Content-Type": "application/json", **headers})


def expected(**changed):
    """The policy when these fields are the project's own."""
    return dict(DEFAULTS, **changed, source={f: "policy" if f in changed else "default" for f in FIELDS})


def test_fields_change_one_by_one_and_go_back():
    with harness.Server() as s:
        c = s.client()
        equal(policy(c), expected(), "the policy of a project that is not there yet")
        answer = put(c, {"log_keep": "60d"})
        equal((answer.status, answer.json()), (200, expected(log_keep="60d")), "one field")
        tiers = [{"every": "10s", "keep": "0s"}, {"every": "1m", "keep": "36h"}, {"every": "1h", "keep": "forever"}]
        want = expected(log_keep="60d", tiers=tiers, window="20s", grace="2m")
        answer = put(c, {"tiers": tiers, "window": "20s", "grace": "120s"})
        equal((answer.status, answer.json()), (200, want), "the others stay")
        equal(put(c, {}).json(), want, "nothing asked")
        equal(policy(c), want, "as stored")
        c = s.restart().client()
        equal(policy(c), want, "after a restart")
        other = s.client(project="other")
        put(other, {"log_keep": "1d"})
        equal(policy(other), expected(log_keep="1d"), "another project's")
        equal(json.loads(cli("policy", "--data", s.data, "--json").stdout), want, "from the directory")
        answer = put(c, {"tiers": None, "log_keep": None, "raw_keep": "forever"})
        tiers = [{"every": "20s", "keep": "14d"}, *DEFAULTS["tiers"][1:]]  # windows as recorded have that width
        equal(answer.json(), dict(expected(window="20s", grace="2m", raw_keep="forever"), tiers=tiers), "null")
        equal(put(c, dict.fromkeys(FIELDS)).json(), expected(), "all back")


def test_what_is_no_policy_is_refused_and_changes_nothing():
    tier = lambda *pairs: [{"every": e, "keep": k} for e, k in pairs]
    long = [(f"{n}s", "1d") for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    bad = (({"window": "7s"}, "window", "5m"), ({"window": "6m"}, "window", "1s to 5m"), ({"window": "500ms"}, "window", "1s"),
           ({"window": 30}, "window", "30"), ({"window": "0s"}, "window", "1s"), ({"window": "forever"}, "window", "forever"),
           ({"grace": "2h"}, "grace", "1h"), ({"grace": "forever"}, "grace", "forever"),
           ({"raw_keep": "soon"}, "raw_keep", "soon"), ({"log_keep": "-1d"}, "log_keep", "-1d"),
           ({"log_keep": "101y"}, "log_keep", "100 years"), ({"keep": "1d"}, "keep", "log_keep"),
           ({"hyperparams": {}}, "hyperparams", "raw_keep"), ({"source": {}}, "source", "raw_keep"),
           ({"tiers": {}}, "tiers", "object"), ({"tiers": []}, "tiers", "1 to 8"), ({"tiers": ["5m"]}, "tiers", "5m"),
           ({"tiers": [None]}, "tiers", "null"), ({"tiers": [{"every": "30s"}]}, "tiers", "keep"),
           ({"tiers": [{"every": "30s", "keep": "1d", "x": 1}]}, "tiers", '"x"'),
           ({"tiers": tier(*long)}, "tiers", "9 entries"),
           ({"tiers": tier(("10m", "1d"))}, "tiers", "5m"), ({"tiers": tier(("500ms", "1d"))}, "tiers", "500ms"),
           ({"tiers": tier(("30s", "1d"), ("7m", "2d"))}, "tiers", "divide a day"),
           ({"tiers": tier(("30s", "1d"), ("2d", "2d"))}, "tiers", "divide a day"),
           ({"tiers": tier(("30s", "1d"), ("45s", "2d"))}, "tiers", "multiple"),
           ({"tiers": tier(("30s", "1d"), ("30s", "2d"))}, "tiers", "multiple"),
           ({"tiers": tier(("5m", "1d"), ("1m", "2d"))}, "tiers", "finest first"),
           ({"tiers": tier(("30s", "2d"), ("5m", "1d"))}, "tiers", "at least as long"),
           ({"tiers": tier(("30s", "forever"), ("5m", "1d"))}, "tiers", "forever"),
           ({"tiers": tier(("1m", "1d"), ("2m", "2d")), "window": "5m"}, "window", "2m"),
           ({"tiers": tier(("20s", "1d"), ("40s", "2d"))}, "window", "30s"))
    with harness.Server() as s:
        c = s.client()
        put(c, {"log_keep": "60d"})
        for change, field, word in bad:
            answer = put(c, dict(change, raw_keep=change.get("raw_keep", "1d")))
            equal((answer.status, answer.error()["field"]), (422, field), f"{change}: {answer}")
            check(word in answer.error()["message"], change, "is refused with", answer.error()["message"])
        for body, status in (("[]", 422), ("null", 422), ("", 400), ("{", 400), ("{'window':'30s'}", 400)):
            equal(put(c, body).status, status, body)
        equal(put(c, "{}", Content_Type="text/plain").status, 415, "no JSON")
        equal(c.request("PUT", c.path("/policy?window=5s"), "{}").status, 422, "a parameter")
        equal(policy(c), expected(log_keep="60d"), "what was refused changed nothing")
        equal(c.request("PUT", c.path("/policy"), json.dumps({"tiers": tier(("1s", "1d"))})).status, 200, "one tier")


def test_who_may():
    with harness.Server() as s:
        stranger = harness.Client(s.url, "astraml_owner_wrong")
        equal(put(stranger, {}).status, 401, "PUT without a token")
        equal(stranger.get("/policy").status, 401, "GET without a token")
        equal(s.client().request("DELETE", s.client().path("/policy")).status, 415, "DELETE")


def test_one_key_makes_one_change():
    with harness.Server() as s:
        c = s.client()
        first = put(c, {"log_keep": "60d"}, Idempotency_Key="k1")
        put(c, {"log_keep": "90d"}, Idempotency_Key="k2")
        s.restart()
        c = s.client()
        again = put(c, {"log_keep": "60d"}, Idempotency_Key="k1")
        equal((again.status, again.body), (200, first.body), "the first answer again")
        equal((first.headers["Idempotent-Replay"], again.headers["Idempotent-Replay"]), (None, "true"), "and it says so")
        equal(policy(c)["log_keep"], "90d", "a repetition changes nothing")
        answer = put(c, {"log_keep": "61d"}, Idempotency_Key="k1")
        equal((answer.status, answer.error()["field"]), (409, "Idempotency-Key"), "another body")
        equal(put(s.client(project="other"), {"log_keep": "61d"}, Idempotency_Key="k1").status, 200, "another project")
        equal(c.request("POST", c.path("/runs"), json.dumps({"log_keep": "60d"}), {"Idempotency-Key": "k1"}).status,
              409, "another request")
        equal(put(c, {}, Idempotency_Key="x" * 256).status, 422, "too long a key")
        refused = [put(c, {"grace": "2h"}, Idempotency_Key="k3").status for _ in range(2)]
        equal(refused + [put(c, {"grace": "1h"}, Idempotency_Key="k3").status], [422, 422, 200],
              "what was refused keeps no key")


def test_a_key_holds_for_a_day():
    clock = harness.Clock()
    with harness.Server(env=clock.environment) as s:
        c = s.client()
        put(c, {"log_keep": "60d"}, Idempotency_Key="k1")
        put(c, {"log_keep": "90d"})
        clock.move(23.9 * 3600)
        put(c, {"log_keep": "60d"}, Idempotency_Key="k1")
        equal(policy(c)["log_keep"], "90d", "within a day it is a repetition")
        clock.move(3600)
        put(c, {"log_keep": "60d"}, Idempotency_Key="k1")
        equal(policy(c)["log_keep"], "60d", "after it, a new change")


def test_projects():
    with harness.Server() as s:
        c = s.client()
        post = lambda body, **h: c.request("POST", "/v2/projects", json.dumps(body),
                                           {k.replace("_", "-"): v for k, v in h.items()})
        names = lambda: [p["name"] for p in c.request("GET", "/v2/projects").json()["projects"]]
        equal(names(), [], "none yet")
        put(s.client(project="by-policy"), {})
        s.client(project="by-run").create_run("r")
        first = post({"name": "a"}, Idempotency_Key="k")
        equal((first.status, first.json()["name"]), (201, "a"), "made")
        again = post({"name": "a"}, Idempotency_Key="k")
        equal((again.status, again.body, again.headers["Idempotent-Replay"]), (201, first.body, "true"), "again")
        equal([post({"name": n}).status for n in ("a", "by-run")], [409, 409], "it is there")
        for body in ({}, [], {"name": 1}, {"name": "a/b"}, {"name": "x" * 65}, {"name": "b", "policy": {}}):
            answer = post(body)
            equal((answer.status, answer.error()["field"]), (422, "name"), body)
        equal(names(), ["a", "by-policy", "by-run"], "all of them")
        equal(c.request("PUT", "/v2/projects").status, 415, "PUT")
        verb = lambda *a: cli("project", *a, "--data", s.data)
        equal(verb("create", "b").returncode, 0, "project create")
        out = verb()
        equal([line.split()[0] for line in out.stdout.decode().splitlines()],
              ["PROJECT", "a", "b", "by-policy", "by-run"], out.stderr)
        equal([p["name"] for p in json.loads(verb("--json").stdout)["projects"]], names(), "--json")
        for arguments, status, word in ((("create",), 2, "create NAME"), (("drop", "b"), 2, "create NAME"),
                                        (("create", "b"), 2, "exists"), (("create", "a/b"), 2, "name")):
            out = verb(*arguments)
            equal((out.returncode, word in out.stderr.decode()), (status, True), f"{arguments}: {out.stderr}")
    equal(verb("create", "c").returncode, 0, "nobody serves the directory")
    equal(len(json.loads(verb("--json").stdout)["projects"]), 5, "projects")


def test_new_runs_take_the_policys_window():
    with harness.Server() as s:
        c = s.client()
        told = lambda run: (run["window"], run["spec"]["metrics"]["window"], run["sources"]["metrics.window"])
        equal(told(c.create_run("before")), ("30s", "30s", "default"), "no policy")
        put(c, {"window": "10s"})
        equal(told(c.create_run("r")), ("10s", "10s", "policy"), "the policy's")
        equal(told(c.create_run("asked", metrics={"window": "1m"})), ("1m", "1m", "request"), "what is asked for wins")
        equal(told(s.client(project="other").create_run("r")), ("30s", "30s", "default"), "another project")
        t = 1_750_000_200
        b = Batch()
        loss = b.series("loss")
        for i in range(12):
            b.sample(loss, (t + 5 * i) * harness.NS, float(i))
        c.ingest("r", b)
        rows = c.query("r", "loss", agg="count,first")["series"][0]["rows"]
        equal(rows, [[(t + 10 * i) * 1000, 2, 2.0 * i] for i in range(6)], "windows of ten seconds")
        put(c, {"window": None})
        equal(told(c.create_run("after")), ("30s", "30s", "default"), "back to the default")
        c = s.restart().client()
        for run, want in (("before", "default"), ("r", "policy"), ("asked", "request")):
            equal(c.get(f"/runs/{run}").json()["sources"], {"metrics.window": want}, "kept")
            check(f"({want})" in cli("show", run, "--server", s.url, env={"ASTRAML_TOKEN": s.token}).stdout.decode(),
                  "show does not say", want)
        put(c, {"tiers": [{"every": "1m", "keep": "1d"}, {"every": "2m", "keep": "2d"}]})
        answer = c.request("POST", c.path("/runs"), json.dumps({"metrics": {"window": "5m"}}))
        equal((answer.status, answer.error()["field"]), (422, "metrics.window"), "wider than the policy's next tier")


def test_grace_says_when_a_window_is_complete():
    clock = harness.Clock()
    with harness.Server(env=clock.environment) as s:
        c, other = s.client(), s.client(project="other")
        for client in (c, other):
            client.create_run("r")
            b = Batch()
            b.sample(b.series("m"), clock.now_ns(), 1.0)
            client.ingest("r", b)
        put(c, {"grace": "10m"})

        def behind(client):
            until = client.query("r", "m")["complete_until"]
            return clock.now_ns() // harness.NS - int(subprocess.check_output(["date", "-d", until, "+%s"]))

        check(600 <= behind(c) < 640, "complete_until lies", behind(c), "s behind with a grace of 10 min")
        check(30 <= behind(other) < 70, "complete_until lies", behind(other), "s behind with the default")
        flushes = lambda: c.get("/usage").json()["store"]["flushes_total"]
        clock.move(300)
        for i in range(30):  # turns of the writer, each of which may begin or finish a flush
            c.ingest("r", Batch().log(f"turn {i}"))
        equal(flushes(), 0, "flushes before the longest grace is over")
        clock.move(400)
        harness.wait_for(flushes, "the flush after it")


def test_a_longer_grace_counts_nothing_twice():
    with harness.Server(arguments=("--flush-every", "50ms", "--grace", "1ms")) as s:
        c = s.client()
        c.create_run("r")
        put(c, {"grace": "1h"})  # what is late by the old grace stays so, and is flushed as that
        now = time.time_ns()
        b = Batch()
        m = b.series("m")
        b.sample(m, now - 120 * harness.NS, 1.0).sample(m, now + 60 * harness.NS, 2.0)
        c.ingest("r", b)
        harness.wait_for(lambda: c.get("/usage").json()["store"]["flushes_total"], "the late sample's flush")
        s.kill9()
        s.start()
        equal(s.client().metrics("r")[0]["count"], 2, "samples after a sudden end")


def test_a_project_that_is_not_there():
    with harness.Server() as s:
        for rest in ("/policy", "/runs", "/usage"):
            answer = s.client(project="nowhere").get(rest)
            check(answer.status == 404 and "no project nowhere" in answer.error()["message"], rest, answer)
            equal((answer.error()["field"], s.client().get(rest).status), ("project", 200), "default always is")
        for verb in (("policy",), ("runs",), ("stats",)):
            out = cli(*verb, "--project", "nowhere", "--data", s.data)
            check(out.returncode == 3 and b"no project nowhere" in out.stderr, verb, out)
        s.client(project="nowhere").create_run("first")
        equal(s.client(project="nowhere").get("/policy").json(), expected(), "there with its first run")


def test_the_width_of_the_first_tier():
    """It is that of windows as they are recorded, in every table, unless the project names another."""
    with harness.Server() as s:
        c = s.client()
        tiers = [{"every": "10s", "keep": "14d"}, *DEFAULTS["tiers"][1:]]
        equal(put(c, {"window": "10s"}).json(), dict(expected(window="10s"), tiers=tiers), "the policy")
        c.create_run("r")
        b = Batch()
        b.sample(b.series("m"), (time.time_ns() // NS - 90_000) * NS, 1.0)
        c.ingest("r", b)
    equal(cli("compact", "--data", s.data).returncode, 0, "compact")
    stored = json.loads(cli("stats", "--json", "--data", s.data).stdout)["stored"]
    check(["metrics", "10s", "14d"] in [[row["kind"], row["tier"], row["keep"]] for row in stored], stored)


def test_the_verb():
    with harness.Server() as s:
        verb = lambda *a: cli("policy", *a, "--data", s.data)
        out = verb("set", "tiers=30s:14d,5m:90d,1h:forever", "log_keep=60d", "--no-color")
        equal(out.returncode, 0, out.stderr)
        equal(out.stdout.decode().splitlines(),
              ["FIELD     VALUE                SOURCE", "window    30s                  default",
               "grace     30s                  default", "raw_keep  7d                   default",
               "log_keep  60d                  policy", "tiers     30s  for 14d         policy",
               "          5m   for 90d", "          1h   forever"], "the table")
        equal(verb().stdout, out.stdout, "shown again")
        verb("set", "log_keep=default")
        equal(json.loads(verb("--json").stdout)["log_keep"], "30d", "back to the default")
        for arguments, word in ((("set",), "FIELD=VALUE"), (("set", "x"), "FIELD=VALUE"), (("get",), "set"),
                                (("set", "tiers=5m"), "WIDTH:KEEP"), (("set", "grace=1s", "grace=2s"), "twice")):
            out = verb(*arguments)
            equal(out.returncode, 2, arguments)
            check(word in out.stderr.decode(), arguments, out.stderr)
        out = verb("set", "window=7s")
        check(out.returncode != 0 and "window is 7s" in out.stderr.decode(), out)
    out = verb("set", "window=10s")  # nobody serves the directory now
    equal(out.returncode, 0, out.stderr)
    equal(json.loads(verb("--json").stdout), expected(tiers=[{"every": "30s", "keep": "14d"}, {"every": "5m", "keep": "90d"},
                                                             {"every": "1h", "keep": "forever"}], window="10s"), "kept")


if __name__ == "__main__":
    harness.main(globals())
