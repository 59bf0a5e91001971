"""Routes and metrics that are read from Python sources, which are never run."""

from __future__ import annotations

from gpulockd.audit.served_by import metrics_of, routes_of

SOURCES = [
    """
@app.get("/items/{id}")
async def show(id): ...
@router.delete("/items/{id}", status_code=204)
def remove(id): ...
@app.route("/old", methods=["POST", "PUT"])
def old(): ...
@blueprint.route("/page")
def page(): ...
app.add_api_route("/health", health, methods=["GET"])
routes = [web.get("/status", status), web.post("/jobs", jobs)]
app.router.add_put("/jobs/{id}", job)
os.environ.get("/not/one/of", None) and cache.get("key")
client.get(f"/computed/{x}")
""",
    "def (",
]


def test_routes_of_what_people_use() -> None:
    read = frozenset({"GET", "HEAD"})
    assert routes_of(SOURCES) == {
        "/items/{id}": read | {"DELETE"},
        "/old": frozenset({"POST", "PUT"}),
        "/page": read,
        "/health": read,
        "/status": read,
        "/jobs": frozenset({"POST"}),
        "/jobs/{id}": frozenset({"PUT"}),
        "/not/one/of": read,
    }


def test_metrics() -> None:
    source = """
requests = Counter("app_requests", "Requests.")
served = prometheus_client.Counter("app_served_total", "Answers.", ["code"])
age = Gauge("app_age_seconds", "Age.")
took = Histogram(name, "Computed.")
"""
    assert metrics_of([source]) == {"app_requests_total", "app_served_total", "app_age_seconds"}
