"""HTTP triggers in the embedded host: routes, methods, keys, bodies, errors, as the Azure host serves them."""

from __future__ import annotations

import http.client
import json
import stat
import threading
from dataclasses import dataclass

import azure.functions as func
import pytest

from genaiops.host import Host, HostError
from genaiops.host.keys import load_keys
from genaiops.host.routes import Routes, path_parts
from genaiops.host.triggers import read_triggers
from tests.triggers.hosting import HOST_JSON, bus, hosting

OPEN = func.AuthLevel.ANONYMOUS


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(host: Host, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(host.http_url.split("/")[2], timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def echo(req: func.HttpRequest) -> func.HttpResponse:
    content = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


def echo_app(route: str | None, **options) -> func.FunctionApp:
    app = func.FunctionApp(http_auth_level=OPEN)
    app.route(route=route, **options)(echo)
    return app


def test_a_route_with_parameters_and_a_rest_is_found_and_its_values_are_decoded(tmp_path):
    with hosting(echo_app("chains/{chain}/files/{*rest}"), tmp_path) as host:
        answer = ask(host, "GET", "/api/Chains/t-1/files/a%20b/%C3%BC.html?x=1&x=2&y=%2B")
        content = json.loads(answer.body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert content["route"] == {"chain": "t-1", "rest": "a b/ü.html"}
    assert content["query"] == {"x": "1,2", "y": "+"}
    assert content["url"].startswith(f"{host.http_url}/Chains/t-1/files/")


def test_unknown_routes_and_methods_are_not_found(tmp_path):
    with hosting(echo_app("chains/{chain}", methods=["GET", "POST"]), tmp_path) as host:
        assert ask(host, "GET", "/api/chains/1").status == 200
        assert ask(host, "POST", "/api/chains/1").status == 200
        for method, path in [
            ("GET", "/chains/1"),
            ("GET", "/api/chains"),
            ("GET", "/api/chains/1/2"),
            ("GET", "/"),
            ("HEAD", "/api/chains/1"),
            ("OPTIONS", "/api/chains/1"),
            ("DELETE", "/api/chains/1"),
        ]:
            assert ask(host, method, path).status == 404, (method, path)


def test_head_and_options_reach_a_function_that_names_them(tmp_path):
    with hosting(echo_app("x", methods=["HEAD", "OPTIONS"]), tmp_path) as host:
        head, options = ask(host, "HEAD", "/api/x"), ask(host, "OPTIONS", "/api/x")
    assert (head.status, head.body) == (200, b"")
    assert json.loads(options.body)["method"] == "OPTIONS"


def test_without_a_route_prefix_the_root_can_be_served(tmp_path):
    with hosting(echo_app(""), tmp_path, host_json={"extensions": {"http": {"routePrefix": ""}}}) as host:
        assert ask(host, "GET", "/").status == 200
        assert host.http_url.count("/") == 2


def test_the_most_specific_route_wins_in_any_order_of_registration():
    app = func.FunctionApp(http_auth_level=OPEN)
    routes = {
        "all": "{*path}",
        "one": "chains/{id}",
        "number": "chains/{id:int}",
        "fixed": "chains/waiting",
        "maybe": "status/{id?}",
    }
    for name, route in routes.items():
        app.function_name(name)(app.route(route=route)(lambda req: None))
    found = Routes(read_triggers(app, {}), "")
    for path, name, values in [
        ("/chains/waiting", "fixed", {}),
        ("/chains/7", "number", {"id": "7"}),
        ("/chains/x", "one", {"id": "x"}),
        ("/chains/x/y", "all", {"path": "chains/x/y"}),
        ("/status", "maybe", {}),
        ("/status/1", "maybe", {"id": "1"}),
        ("/", "all", {}),
    ]:
        trigger, parameters = found.find("GET", path)
        assert (trigger.name, parameters) == (name, values), path


def test_dots_are_resolved_before_routing_and_an_encoded_slash_stays_one_part():
    assert path_parts("/a/./b/../c/") == ["a", "c"]
    assert path_parts("/a/%2e%2e/%2E%2E/etc") == ["etc"]
    assert path_parts("/a/b%2fc%2F..") == ["a", "b%2Fc%2F.."]


def test_a_route_that_cannot_be_served_is_refused_by_name(tmp_path):
    with pytest.raises(HostError, match=r"\{id:datetime\}"), hosting(echo_app("x/{id:datetime}"), tmp_path):
        pass


def test_binary_bodies_pass_both_ways_unchanged(tmp_path):
    content = bytes(range(256)) * 4096

    def turn(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(req.get_body()[::-1], mimetype="application/octet-stream")

    app = func.FunctionApp(http_auth_level=OPEN)
    app.route(route="turn", methods=["POST"])(turn)
    with hosting(app, tmp_path) as host:
        answer = ask(host, "POST", "/api/turn", content, Content_Type="application/octet-stream")
    assert answer.body == content[::-1]
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_body_over_the_limit_is_refused_and_never_reaches_the_function(tmp_path, monkeypatch):
    monkeypatch.setattr("genaiops.host.http.BODY_LIMIT", 1024)
    with hosting(echo_app("x"), tmp_path) as host:
        assert ask(host, "POST", "/api/x", b"x" * 1024).status == 200
        assert ask(host, "POST", "/api/x", b"x" * 1025).status == 413


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(tmp_path):
    with hosting(echo_app("x", methods=["POST"]), tmp_path) as host:
        connection = http.client.HTTPConnection(host.http_url.split("/")[2], timeout=20)
        connection.putrequest("POST", "/api/x")
        connection.putheader("Content-Length", str(1024 * 1024 + 1))
        connection.endheaders()  # and not one byte of the body
        response = connection.getresponse()
        assert (response.status, response.read()) == (413, b"A request's body may have 1,048,576 bytes.\n")
        connection.close()


def test_a_body_of_unknown_length_is_read_up_to_the_limit(tmp_path):
    with hosting(echo_app("x", methods=["POST"]), tmp_path) as host:
        connection = http.client.HTTPConnection(host.http_url.split("/")[2], timeout=20)
        connection.request("POST", "/api/x", (b"x" * 65536 for _ in range(17)), encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()


@pytest.mark.parametrize("name", ["[", "[::1", "a:port", "a:99999", "a b", "a/b?c"])
def test_a_host_header_that_is_no_name_makes_no_server_error(name, tmp_path):
    with hosting(echo_app("x"), tmp_path) as host:
        assert ask(host, "GET", "/api/x", Host=name).status in (200, 400)


def test_a_form_is_parsed_and_cookies_status_and_headers_come_through(tmp_path):
    def form(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse(req.form["comment"], status_code=303, headers={"Location": "/done", "X-A": "1"})
        response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
        response.headers.add("Set-Cookie", "b=2; Path=/")
        return response

    app = func.FunctionApp(http_auth_level=OPEN)
    app.route(route="form", methods=["POST"])(form)
    with hosting(app, tmp_path) as host:
        answer = ask(
            host, "POST", "/api/form", b"comment=gr%C3%BCn+%26+gut", Content_Type="application/x-www-form-urlencoded"
        )
    assert (answer.status, answer.body.decode()) == (303, "grün & gut")
    assert (answer.headers["Location"], answer.headers["X-A"]) == ("/done", "1")
    assert sorted(cookie.split(";")[0] for cookie in answer.headers.get_all("Set-Cookie")) == ["a=1", "b=2"]


def test_nothing_returned_is_204_and_a_string_is_200(tmp_path):
    app = func.FunctionApp(http_auth_level=OPEN)
    app.function_name("nothing")(app.route(route="nothing")(lambda req: None))
    app.function_name("text")(app.route(route="text")(lambda req: "schön"))
    with hosting(app, tmp_path) as host:
        assert ask(host, "GET", "/api/nothing").status == 204
        answer = ask(host, "GET", "/api/text")
    assert (answer.status, answer.body.decode()) == (200, "schön")


def test_a_function_that_raises_is_500_without_its_traceback_which_is_in_the_log(tmp_path, caplog):
    def fails(req: func.HttpRequest) -> func.HttpResponse:
        raise RuntimeError("the password is hunter2")

    app = func.FunctionApp(http_auth_level=OPEN)
    app.route(route="fails/{token?}")(fails)
    app.function_name("wrong")(app.route(route="wrong")(lambda req: 42))
    with hosting(app, tmp_path) as host:
        raised, wrong = ask(host, "GET", "/api/fails/s3cret?token=s3cret"), ask(host, "GET", "/api/wrong")
    assert (raised.status, wrong.status) == (500, 500)
    assert b"hunter2" not in raised.body
    assert b"Traceback" not in raised.body
    assert "hunter2" in caplog.text
    assert "s3cret" not in caplog.text
    record = next(record for record in caplog.records if getattr(record, "outcome", "") == "failed")
    assert (record.function, record.message_id) == ("fails", "GET /fails/{token?}")


@pytest.mark.parametrize(
    ("level", "opens"),
    [
        (func.AuthLevel.ANONYMOUS, {"none", "wrong", "default", "master"}),
        (func.AuthLevel.FUNCTION, {"default", "master"}),
        (func.AuthLevel.ADMIN, {"master"}),
    ],
)
def test_keys_open_what_their_level_allows(tmp_path, level, opens):
    app = func.FunctionApp()
    app.route(route="x", auth_level=level)(echo)
    with hosting(app, tmp_path) as host:
        keys = {"wrong": "wrong-ü", "default": host.keys.default, "master": host.keys.master}
        for name in ("none", *keys):
            expected = 200 if name in opens else 401
            key = keys.get(name)
            headers = {"x_functions_key": key.encode().decode("latin-1")} if key else {}
            assert ask(host, "GET", "/api/x", **headers).status == expected, name
            query = f"?code={key.encode().hex() if name == 'wrong' else key}" if key else ""
            assert ask(host, "GET", f"/api/x{query}").status == expected, name


def test_keys_are_made_once_and_are_for_their_owner_only(tmp_path):
    with hosting(echo_app("x"), tmp_path) as first:
        keys = first.keys
    with hosting(echo_app("x"), tmp_path) as second:
        assert second.keys == keys
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert keys.default not in repr(keys)
    assert keys.default != keys.master


def test_a_damaged_key_file_is_said(tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(HostError, match=r"keys\.json does not hold the host's keys"):
        load_keys(tmp_path / "keys.json")


def test_only_this_machine_can_connect(tmp_path):
    with hosting(echo_app("x"), tmp_path) as host:
        addresses = host._http._runner.addresses
    assert [address for address, _ in addresses] == ["127.0.0.1"]


def test_stopping_answers_the_request_that_runs(tmp_path):
    started, release, answers = threading.Event(), threading.Event(), []

    def slow(req: func.HttpRequest) -> func.HttpResponse:
        started.set()
        release.wait(20)
        return func.HttpResponse("done")

    app = func.FunctionApp(http_auth_level=OPEN)
    app.route(route="slow")(slow)
    with hosting(app, tmp_path) as host:
        client = threading.Thread(target=lambda: answers.append(ask(host, "GET", "/api/slow")))
        client.start()
        assert started.wait(20)
        threading.Timer(0.1, release.set).start()
        assert host.stop()
        client.join(20)
        with pytest.raises(ConnectionRefusedError):
            ask(host, "GET", "/api/slow")
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"done")]


def test_a_taken_port_is_said_and_the_home_is_free_again(tmp_path):
    with hosting(echo_app("x"), tmp_path / "one") as first:
        port = int(first.http_url.split(":")[2].split("/")[0])
        second = Host(echo_app("x"), bus(), None, tmp_path / "two", port, host_json=HOST_JSON)
        with pytest.raises(HostError, match=f"port {port} on 127.0.0.1 .* GENAIOPS_HTTP_PORT"):
            second.start()
        with hosting(echo_app("x"), tmp_path / "two"):
            pass
