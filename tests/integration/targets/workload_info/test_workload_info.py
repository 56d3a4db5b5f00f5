import json, time, base64, os
import pytest
from tests.lab.driver import call, UTILS
import importlib

hostfiles = importlib.import_module(f"{UTILS}.engines.hostfiles")
info = importlib.import_module(f"{UTILS}.acts.workload_info")
running_ = importlib.import_module(f"{UTILS}.host.running")


class Rec(hostfiles.Host):
    def __init__(self):
        super().__init__()
        self.seen = {"texts": {}, "links": {}, "nodes": {}, "rows": {}, "within": {}, "bytes": {}}

    def text(self, path):
        r = super().text(path)
        if r is not None:
            self.seen["texts"][path] = r
        return r

    def target(self, path):
        r = super().target(path)
        if r is not None:
            self.seen["links"][path] = r
        return r

    def get(self, path, url):
        r = super().get(path, url)
        self.seen["rows"][path] = list(r.rows)
        return r

    def text_within(self, tree, path):
        r = super().text_within(tree, path)
        self.seen["within"][tree + "|" + path] = r
        return r

    def bytes_within(self, tree, path, most):
        r = super().bytes_within(tree, path, most)
        self.seen["bytes"][tree + "|" + path] = base64.b64encode(r).decode()
        return r

    def nodes_within(self, tree, path):
        r = super().nodes_within(tree, path)
        self.seen["nodes"][tree + "|" + path] = {k: [v.st_mode, v.st_rdev] for k, v in r.items()}
        return r


@pytest.mark.machine
def test_x(running):
    for i in range(2):
        start = time.monotonic()
        told = call("workload_info", {})
        print("SECONDS", time.monotonic() - start)
    open("/tmp/workload.json", "w").write(json.dumps(told, indent=1))
    start = time.monotonic()
    audit = call("isolation_audit", {})
    print("SECONDS", time.monotonic() - start)
    open("/tmp/audit.json", "w").write(json.dumps(audit, indent=1))
    rec = Rec()
    start = time.monotonic()
    found = info.look(rec, running_.ENGINES)
    print("SECONDS", time.monotonic() - start)
    groups = {}
    for one in found:
        g = one["cgroup"]
        while g and g != "/":
            d = "/sys/fs/cgroup" + g
            for f in ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "pids.max", "cpuset.cpus", "io.max"):
                try:
                    groups[d + "/" + f] = open(d + "/" + f).read()
                except OSError:
                    pass
            g = os.path.dirname(g)
    rec.seen["groups"] = groups
    open("/tmp/record.json", "w").write(json.dumps(rec.seen))
    import cProfile, pstats

    p = cProfile.Profile()
    p.enable()
    info.look(hostfiles.Host(), running_.ENGINES)
    p.disable()
    pstats.Stats(p).sort_stats("cumtime").print_stats(35)
