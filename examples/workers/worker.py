#!/usr/bin/env python3
# A worker in Python: TUTTI_SERVER=http://… TUTTI_TOKEN=… ./worker.py POOL
import json, os, sys, threading, time, urllib.request

API = "%s/v1/namespaces/%s" % (os.environ["TUTTI_SERVER"], os.environ.get("TUTTI_NAMESPACE", "default"))
POOL, ME = API + "/pools/" + sys.argv[1], "python-%d" % os.getpid()

def call(method, url, body):
    head = {"Authorization": "Bearer " + os.environ["TUTTI_TOKEN"], "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), head, method=method), timeout=90) as r:
        return json.loads(r.read() or "{}")

def work(task):  # what the worker is for: task["with"] is the input, the output is returned
    call("POST", API + "/attempts/" + task["token"] + "/log", {"lines": [{"seq": 1, "text": "counting"}]})
    return {"words": len(task["with"]["text"].split())}

def attempt(task):
    over = threading.Event()
    def beat():  # a worker that is silent for 20 s loses the task
        while not over.wait(5):
            call("POST", POOL + "/heartbeat", {"worker": ME, "tokens": [task["token"]]})
    threading.Thread(target=beat, daemon=True).start()
    try:
        return {"token": task["token"], "outcome": "done", "out": work(task)}
    except Exception as e:
        return {"token": task["token"], "outcome": "failed", "failure": {"type": "python." + type(e).__name__.lower(), "message": str(e)}}
    finally:
        over.set()

results = []  # kept until the server answered for them
while True:
    try:
        got = call("POST", POOL + "/poll", {"worker": ME, "max": 1, "wait": "30s", "results": results})
        results = [attempt(task) for task in got.get("assignments", [])]
    except OSError as e:
        print("the server:", e, file=sys.stderr, flush=True)
        time.sleep(1)
