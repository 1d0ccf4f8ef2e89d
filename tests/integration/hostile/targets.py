"""Paths and queries: encodings of every kind, and more than fits."""

from __future__ import annotations

from tests.integration.hostile.case import Case, Target, post

BODY = b'{"a": 1}'


def cases(target: Target) -> dict[str, Case]:
    return {**paths(target), **queries(target)}


def paths(target: Target) -> dict[str, Case]:
    url, base = target.path(), target.base.encode()
    id_, token = url.split(b"/")[-2:]
    every_byte = b"".join(b"%%%02X" % byte for byte in token)
    other = b"f" if token[:1] != b"f" else b"e"
    unknown = {
        "another token": base + b"/" + id_ + b"/" + other + token[1:],
        "another id": base + b"/AAAAAAAAAA/" + token,
        "a token in capitals": base + b"/" + id_ + b"/" + token.upper().replace(b"0", b"O"),
        "half a token": url[:-32],
        "more than a token": url + b"0",
        "a slash behind": url + b"/",
        "a segment behind": url + b"/more",
        "a dot behind": url + b"/.",
        "two slashes": base + b"//" + id_ + b"/" + token,
        "a slash that is encoded": base + b"/" + id_ + b"%2F" + token + b"%2F",
        "a slash that is encoded twice": base + b"/" + id_ + b"%252F" + token,
        "a NUL": url + b"%00",
        "a line end": url + b"%0d%0aX-A:%201",
        "a code that is none": url + b"%zz",
        "a code that breaks off": url + b"%",
        "invalid UTF-8": url + b"%ff%fe",
        "an overlong slash": base + b"/" + id_ + b"%c0%af" + token,
        "a surrogate": url + b"%ed%a0%80",
        "a backslash": base + b"/" + id_ + b"%5C" + token,
        "a semicolon": url + b";a=1",
        "a star for a token": base + b"/" + id_ + b"/*",
        "SQL": base + b"/" + id_ + b"/'%20OR%20'1'='1",
        "20,000 letters": url + b"a" * 20_000,
        "5,000 slashes": base + b"/" * 5_000 + id_ + b"/" + token,
        "digits of another script": base + b"/" + id_ + b"/" + b"%D9%A3" * 64,
        "letters of full width": base + b"/" + id_ + b"/" + b"%EF%BD%81" * 64,
    }
    made = {f"path: {name}": Case([post(path, BODY)], 404) for name, path in unknown.items()}
    up = b"/".join([base, id_, b"..", id_, token])
    return made | {
        "path: a token of codes": Case([post(url[:-64] + every_byte, BODY)], 202, BODY),
        "path: dots": Case([post(up, BODY)], 404),
        "path: dots that are encoded": Case([post(up.replace(b"..", b"%2e%2e"), BODY)], 404),
        "path: a whole address": Case(
            [post(b"http://somewhere" + url, BODY)], {202, 404}, BODY, by_server=True
        ),
        "path: none": Case([post(b"", BODY)], 400, by_server=True),
        "path: a fragment": Case([post(url + b"#a", BODY)], {202, 400, 404}, BODY, by_server=True),
        "path: letters beyond ASCII": Case([post(url + "ä".encode(), BODY)], {400, 404}, by_server=True),
        "path: a space": Case([post(url + b" a", BODY)], 400, by_server=True),
        "path: 100,000 letters": Case([post(url + b"a" * 100_000, BODY)], {400, 404}, by_server=True),
    }


def queries(target: Target) -> dict[str, Case]:
    url = target.path()
    taken = {
        "nothing": b"",
        "only marks": b"??&&==&=",
        "codes that are none": b"a=%zz&b=%&%=1",
        "a code of a code": b"a=%2500",
        "letters of old codes": b"a=%u0041",
        "plus signs": b"a=1+2%2b3",
        "a name 1,000 times": b"&".join([b"a=1"] * 1_000),
        "5,000 names": b"&".join(b"a%d=1" % n for n in range(5_000)),
        "40,000 letters": b"a=" + b"a" * 40_000,
        "brackets": b"a[]=1&a[b][c]=2",
        "a line end": b"a=%0d%0aSet-Cookie:%20a=b",
        "a token": b"token=" + b"0" * 64,
        "its own URL": b"a=" + url,
    }
    made = {
        f"query: {name}": Case([post(url + b"?" + query, BODY)], 202, BODY) for name, query in taken.items()
    }
    return made | {
        "query: a NUL": Case([post(url + b"?a=%00", BODY)], 422, kept=BODY),
        "query: invalid UTF-8": Case([post(url + b"?a=%ff%fe", BODY)], 400, kept=BODY),
        "query: a surrogate": Case([post(url + b"?a=%ed%a0%80", BODY)], 400, kept=BODY),
        "query: a NUL in a name": Case([post(url + b"?%00=1", BODY)], 422, kept=BODY),
        "query: letters beyond ASCII": Case(
            [post(url + "?a=ä".encode(), BODY)], {202, 400}, BODY, by_server=True
        ),
        "query: a control character": Case([post(url + b"?a=\x01", BODY)], {202, 400}, BODY, by_server=True),
        "query: 100,000 letters": Case(
            [post(url + b"?a=" + b"a" * 100_000, BODY)], {202, 400, 414}, BODY, by_server=True
        ),
    }
