"""Methods and header lines: too many, too long, and not what they should be."""

from __future__ import annotations

from tests.integration.hostile.case import JSON, Case, Target, head, post

BODY = b'{"a": 1}'
LENGTH = b"Content-Length: %d" % len(BODY)


def cases(target: Target) -> dict[str, Case]:
    return {**methods(target), **overrides(target), **lines(target), **odd_lines(target)}


def methods(target: Target) -> dict[str, Case]:
    url = target.path()
    made = {
        f"method: {method.decode()}": Case([head(method, url, JSON, LENGTH), BODY], status)
        for method, status in {
            b"PUT": 405,
            b"PATCH": 405,
            b"DELETE": 405,
            b"TRACE": 405,
            b"PROPFIND": 405,
        }.items()
    }
    made |= {
        f"method: {name}": Case([head(method, url, JSON, LENGTH), BODY], {400, 405}, by_server=True)
        for name, method in {
            "post": b"post",
            "PoSt": b"PoSt",
            "nonsense": b"NONSENSE",
            "of 10,000 letters": b"P" * 10_000,
            "a space in front": b" POST",
            "none": b"",
            "a NUL in it": b"PO\0ST",
        }.items()
    }
    return made | {
        "method: CONNECT": Case([head(b"CONNECT", b"airflow:443")], {400, 404, 405}, by_server=True),
        "method: OPTIONS of everything": Case([head(b"OPTIONS", b"*")], {400, 404, 405}, by_server=True),
        "method: OPTIONS": Case([head(b"OPTIONS", url)], 204),
        "method: GET with a body": Case([head(b"GET", url, JSON, LENGTH), BODY], 200),
    }


def overrides(target: Target) -> dict[str, Case]:
    """Another method, path, host or address than those that count."""
    url = target.path()
    names = (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")
    made = {}
    for name in names:
        shown = name.decode()
        made[f"override: {shown} of a POST"] = Case([post(url, BODY, name + b": GET")], 202, BODY)
        made[f"override: {shown} of a GET"] = Case([head(b"GET", url, name + b": POST", LENGTH), BODY], 200)
    for line in (
        b"X-Original-URL: /somewhere",
        b"X-Rewrite-URL: /somewhere",
        b"X-Forwarded-Prefix: /somewhere",
        b"X-Script-Name: /somewhere",
        b"X-Forwarded-Host: somewhere",
        b"X-Forwarded-For: 127.0.0.1, ::1, nobody, \xff",
        b"X-Forwarded-Proto: javascript",
        b"Forwarded: for=127.0.0.1;host=somewhere",
        b"Proxy: http://somewhere",
    ):
        made[f"override: {line.split(b':')[0].decode()}"] = Case([post(url, BODY, line)], 202, BODY)
    return made | {
        "override: a method in the query": Case([post(url + b"?_method=GET", BODY)], 202, BODY),
        "override: a method in the query of a GET": Case(
            [head(b"GET", url + b"?_method=POST", LENGTH), BODY], 200
        ),
    }


def lines(target: Target) -> dict[str, Case]:
    """What is allowed, in amounts that are not usual."""
    url = target.path()
    taken = {
        "500 of them": b"\r\n".join(b"X-%d: 1" % n for n in range(500)),
        "one name 500 times": b"\r\n".join([b"X-A: 1"] * 500),
        "60,000 letters in one": b"X-A: " + b"a" * 60_000,
        "a name of 10,000 letters": b"X-" + b"a" * 10_000 + b": 1",
        "an empty one": b"X-A:",
        "letters beyond ASCII": "X-A: ä 你 😀".encode(),
        "bytes that are no UTF-8": b"X-A: \xff\xfe\x80",
        "a name with an underscore": b"X_A: 1\r\nX-A: 2",
        "spaces around it": b"X-A: \t  1 \t ",
        "a cookie that is none": b"Cookie: =;;; a; b=\xff",
        "a login that is none": b"Authorization: Basic \xff\xff",
        "a login without a scheme": b"Authorization:",
        "a login of 50,000 letters": b"Authorization: Bearer " + b"a" * 50_000,
        "a range": b"Range: bytes=0-0",
        "a condition": b"If-None-Match: *\r\nIf-Match: x",
        "what a shell would read": b"User-Agent: () { :;}; echo\r\nX-A: ${jndi:ldap://a}",
        "Content-Encoding that is empty": b"Content-Encoding:",
    }
    return {f"head: {name}": Case([post(url, BODY, line)], 202, BODY) for name, line in taken.items()}


def odd_lines(target: Target) -> dict[str, Case]:
    """What is not allowed, where parsers differ in what they forgive."""
    url = target.path()
    differ = {
        "2,000 of them": b"\r\n".join(b"X-%d: 1" % n for n in range(2_000)),
        "100,000 letters in one": b"X-A: " + b"a" * 100_000,
        "a line that goes on": b"X-A: 1\r\n 2",
        "a bare line feed": b"X-A: 1\nX-B: 2",
        "a control character": b"X-A: \x01\x1b",
        "a deleted character": b"X-A: \x7f",
        "two hosts": b"Host: somewhere",
        "a name in quotes": b'"X-A": 1',
    }
    refused = {
        "a NUL": b"X-A: \0",
        "a bare carriage return": b"X-A: 1\r2",
        "a name with a space": b"X A: 1",
        "a space before the colon": b"X-A : 1",
        "no name": b": 1",
        "no colon": b"X-A",
        "a name beyond ASCII": "X-Ä: 1".encode(),
    }
    made = {
        f"head: {name}": Case([post(url, BODY, line)], {202, 400, 431}, BODY, by_server=True)
        for name, line in differ.items()
    }
    made |= {
        f"head: {name}": Case([post(url, BODY, line)], 400, by_server=True) for name, line in refused.items()
    }
    for name, host, responses in (
        ("no host", b"", {202, 400}),
        ("an empty host", b"Host:", {202, 400}),
        ("a host with a port that is none", b"Host: airflow:port", {202, 400}),
        ("a host with a login", b"Host: a:b@airflow", {202, 400}),
        ("a host of one label of 64 letters", b"Host: " + b"a" * 64, {400}),
        ("a host of 10,000 letters", b"Host: " + b"a" * 10_000, {400}),
        ("a host beyond ASCII", "Host: ä".encode(), {202, 400}),
        ("an address that is none for a host", b"Host: [::1", {202, 400}),
    ):
        top = [
            b"POST %s HTTP/1.1" % url,
            *([host] if host else []),
            JSON,
            LENGTH,
            b"Connection: close",
            b"",
            BODY,
        ]
        made[f"head: {name}"] = Case([b"\r\n".join(top)], responses, BODY, by_server=True)
    return made
