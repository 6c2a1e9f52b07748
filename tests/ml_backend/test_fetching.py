"""Fetching images: who gets the token, which hosts are asked, what is refused on the way."""

import base64
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from clickpose_labelstudio import guarded_http
from clickpose_labelstudio.fetching import Fetcher
from clickpose_labelstudio.host_policy import HostPolicy
from clickpose_labelstudio.ports import ImageError
from clickpose_labelstudio.settings import ServiceSettings
from helpers.web_server import canned_server

LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"


def jwt(**claims) -> str:
    """Return an unsigned JSON web token with these claims."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    return ".".join([*parts, "c2ln"])


@pytest.fixture
def studio():
    with canned_server() as server:
        server.answers["/data/upload/1/a.png"] = (200, {}, b"from the studio")
        yield server


@pytest.fixture
def elsewhere():
    with canned_server() as server:
        server.answers["/a.png"] = (200, {}, b"from elsewhere")
        yield server


@pytest.fixture
def fetcher(tmp_path, studio):
    def make(**values) -> Fetcher:
        values = {"label_studio_url": studio.url(), "label_studio_api_key": LEGACY_TOKEN, **values}
        return Fetcher(ServiceSettings(cache_dir=tmp_path, **values))

    return make


def test_label_studio_gets_the_legacy_token(fetcher, studio):
    assert fetcher().fetch(studio.url("/data/upload/1/a.png")) == b"from the studio"
    assert studio.requests[0][2]["Authorization"] == f"Token {LEGACY_TOKEN}"


def test_a_personal_access_token_is_exchanged_once_until_it_expires(fetcher, studio, monkeypatch):
    refresh = jwt(token_type="refresh")
    access = jwt(token_type="access", exp=time.time() + 300)
    studio.answers["/api/token/refresh/"] = (200, {}, json.dumps({"access": access}).encode())
    fetch = fetcher(label_studio_api_key=refresh).fetch
    for _ in range(2):
        assert fetch(studio.url("/data/upload/1/a.png")) == b"from the studio"
    (method, path, _, body), first, second = studio.requests
    assert (method, path, json.loads(body)) == ("POST", "/api/token/refresh/", {"refresh": refresh})
    assert first[2]["Authorization"] == second[2]["Authorization"] == f"Bearer {access}"

    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 290)
    fetch(studio.url("/data/upload/1/a.png"))
    assert [request[1] for request in studio.requests[3:]] == ["/api/token/refresh/", "/data/upload/1/a.png"]


@pytest.mark.parametrize("answer", [(401, {}, b"{}"), (200, {}, b"[]"), (200, {}, b"<html>"), (302, {}, b"")])
def test_a_refused_personal_access_token_is_a_sentence_without_the_token(fetcher, studio, answer):
    studio.answers["/api/token/refresh/"] = answer
    token = jwt(token_type="refresh")
    with pytest.raises(ImageError, match="refused the personal access token") as caught:
        fetcher(label_studio_api_key=token).fetch(studio.url("/data/upload/1/a.png"))
    assert token not in str(caught.value)


def test_other_hosts_are_asked_only_when_listed_and_never_get_the_token(fetcher, elsewhere):
    url = elsewhere.url("/a.png")
    with pytest.raises(ImageError, match=r"Host 127\.0\.0\.1 is not allowed.*--allow-host 127\.0\.0\.1"):
        fetcher().fetch(url)
    assert elsewhere.requests == []
    assert fetcher(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",)).fetch(url) == b"from elsewhere"
    assert "Authorization" not in elsewhere.requests[0][2]


def test_redirects_are_checked_at_every_hop_and_lose_the_token(fetcher, studio, elsewhere):
    studio.answers["/tasks/3/resolve/?fileuri=x"] = (303, {"Location": elsewhere.url("/b")}, b"")
    elsewhere.answers["/b"] = (302, {"Location": "/a.png"}, b"")
    url = studio.url("/tasks/3/resolve/?fileuri=x")
    with pytest.raises(ImageError, match="is not allowed"):
        fetcher().fetch(url)
    assert elsewhere.requests == []
    assert fetcher(allowed_hosts=("127.0.0.1",)).fetch(url) == b"from elsewhere"
    assert [request[1] for request in elsewhere.requests] == ["/b", "/a.png"]
    assert all("Authorization" not in request[2] for request in elsewhere.requests)


def test_a_host_cannot_redirect_to_the_studios_api(fetcher, studio, elsewhere):
    elsewhere.answers["/evil"] = (302, {"Location": studio.url("/api/projects/1")}, b"")
    with pytest.raises(ImageError, match="where Label Studio serves task data"):
        fetcher(allowed_hosts=("127.0.0.1",)).fetch(elsewhere.url("/evil"))
    assert studio.requests == []


@pytest.mark.parametrize(
    "path",
    ["/api/projects/", "/data/../api/projects", "/data/%2e%2e/api/users", "/user/login", "/projects/1/settings", ""],
)
def test_the_token_opens_only_task_data(fetcher, studio, path):
    with pytest.raises(ImageError, match=r"serves task data|status 404"):
        fetcher().fetch(studio.url(path))
    assert all(request[1].startswith("/data/") for request in studio.requests)


def test_endless_redirects_end(fetcher, elsewhere):
    elsewhere.answers["/loop"] = (302, {"Location": "/loop"}, b"")
    with pytest.raises(ImageError, match="redirected more than 5 times"):
        fetcher(allowed_hosts=("127.0.0.1",)).fetch(elsewhere.url("/loop"))
    assert len(elsewhere.requests) == 6


def test_a_login_page_is_named_as_such(fetcher, studio):
    studio.answers["/data/upload/1/b.png"] = (302, {"Location": "/user/login/?next=/data"}, b"")
    with pytest.raises(ImageError, match="asks for a login"):
        fetcher(label_studio_api_key="").fetch(studio.url("/data/upload/1/b.png"))
    studio.answers["/data/upload/1/c.png"] = (401, {}, b"")
    with pytest.raises(ImageError, match=r"status 401\); check LABEL_STUDIO_API_KEY"):
        fetcher().fetch(studio.url("/data/upload/1/c.png"))


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"x" * 101),
        (200, {}, (b"x" * 40 for _ in range(10))),
        (200, {"Content-Length": "99999999999"}, iter([b"x"])),
    ],
    ids=["announced", "without a length", "announced huge"],
)
def test_the_size_is_limited_while_it_streams(fetcher, elsewhere, answer):
    elsewhere.answers["/big"] = answer
    with pytest.raises(ImageError, match="at most 100 bytes"):
        fetcher(allowed_hosts=("127.0.0.1",), max_image_bytes=100).fetch(elsewhere.url("/big"))


def test_a_slow_drip_meets_the_deadline(fetcher, elsewhere):
    def drip():
        for _ in range(100):
            time.sleep(0.05)
            yield b"x"

    elsewhere.answers["/slow"] = (200, {}, drip())
    with pytest.raises(ImageError, match=r"took longer than 0\.2 s"):
        fetcher(allowed_hosts=("127.0.0.1",), fetch_timeout_s=0.2).fetch(elsewhere.url("/slow"))


def test_a_session_may_be_asked_without_a_timeout(elsewhere, tmp_path):
    policy = HostPolicy("http://localhost:8080", ("127.0.0.1",))
    with guarded_http.guarded_session(policy, ServiceSettings(cache_dir=tmp_path)) as session:
        assert session.get(elsewhere.url("/a.png")).content == b"from elsewhere"
        with guarded_http.deadline(60):
            assert session.get(elsewhere.url("/a.png")).content == b"from elsewhere"


def test_nobody_there_is_a_sentence(fetcher, elsewhere):
    elsewhere.answers["/gone?signature=s3cret"] = (410, {}, b"")
    with pytest.raises(ImageError, match=r"^Image host 127\.0\.0\.1 answered with status 410$"):
        fetcher(allowed_hosts=("127.0.0.1",)).fetch(elsewhere.url("/gone?signature=s3cret"))
    with pytest.raises(ImageError, match=r"^Image host 127\.0\.0\.1 failed: it could not be reached$"):
        fetcher(allowed_hosts=("127.0.0.1",)).fetch("http://127.0.0.1:1/a?signature=s3cret")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pw@images.example.org/a.png",
        "http://images.example.org\\@evil.example.org/",
        "http://images.example.org:99999/",
        "http://[::1/",
        "http:///a.png",
        "ftp://images.example.org/a.png",
        "file:///etc/passwd",
        "http://images.example.org/\r\nHost: evil",
    ],
)
def test_trick_addresses_are_refused(fetcher, url):
    with pytest.raises(ImageError, match=r"^Expected|not allowed"):
        fetcher(allowed_hosts=("images.example.org",)).fetch(url)


def test_a_name_that_a_wildcard_allows_must_be_public(fetcher, elsewhere, monkeypatch):
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", elsewhere.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [address])
    url = elsewhere.url("/a.png", host="rebound.example.org")
    with pytest.raises(ImageError, match="its address is private"):
        fetcher(allowed_hosts=("*.example.org",)).fetch(url)
    assert elsewhere.requests == []
    assert fetcher(allowed_hosts=("rebound.example.org",)).fetch(url) == b"from elsewhere"


def test_a_connection_goes_to_the_very_addresses_that_were_checked(fetcher, monkeypatch):
    """One look-up, of which private addresses are left out, and no second one by name while connecting."""
    found = ["10.0.0.3", "93.184.216.34", "::1", "2606:4700::1111", "93.184.216.34", "64:ff9b::a9fe:a9fe"]
    looked_up, tried = [], []

    def getaddrinfo(host, *args, **kwargs):
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in found]

    def refuse(address, *args, **kwargs):
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(guarded_http, "create_connection", refuse)
    with pytest.raises(ImageError, match="failed: it could not be reached"):
        fetcher(allowed_hosts=("*.example.org",)).fetch("http://images.example.org/a.png")
    assert looked_up == ["images.example.org"]
    assert tried == [("93.184.216.34", 80), ("2606:4700::1111", 80)]


@pytest.fixture
def encrypted(tmp_path):
    """A web server with a certificate for localhost that nobody trusts unasked; the certificate's file."""
    if shutil.which("openssl") is None:
        pytest.skip("There is no openssl command to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with canned_server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        yield server, certificate


def test_encrypted_hosts_are_trusted_by_certificate_and_left_at_the_deadline(fetcher, encrypted):
    server, certificate = encrypted
    url = f"https://localhost:{server.port}"
    ended = threading.Event()
    server.answers["/a.png"] = (200, {}, b"x" * 300_000)
    server.answers["/slow"] = (200, {}, (b"x" for _ in iter(lambda: ended.wait(0.05), True)))
    fetch = fetcher(allowed_hosts=("localhost",), ca_bundle=certificate, fetch_timeout_s=1.0).fetch
    assert fetch(f"{url}/a.png") == b"x" * 300_000
    with pytest.raises(ImageError, match="Image host localhost took longer than 1 s"):
        fetch(f"{url}/slow")
    ended.set()
    with pytest.raises(ImageError, match="its certificate is not trusted"):
        fetcher(allowed_hosts=("localhost",)).fetch(f"{url}/a.png")


POLICY = HostPolicy("http://10.1.1.1:8080", ("minio", "169.254.169.254", "[fd00::1]:9000", "*.example.org"))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://minio/a", True),
        ("https://minio:9000/a", True),
        ("http://MINIO./a", True),
        ("http://minio.evil.org/a", False),
        ("http://a.b.example.org/a", True),
        ("http://example.org/a", False),
        ("http://notexample.org/a", False),
        ("http://[fd00::1]:9000/a", True),
        ("http://[fd00::1]/a", False),
        ("http://10.1.1.1:8080/data/upload/a", True),
        ("http://10.1.1.1:8081/data/upload/a", False),
    ],
)
def test_host_rules(url, allowed):
    if allowed:
        POLICY.check_url(url)
    else:
        with pytest.raises(ImageError, match="is not allowed"):
            POLICY.check_url(url)


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("minio", "10.0.0.3", True),
        ("minio", "127.0.0.1", True),
        ("minio", "169.254.169.254", False),
        ("minio", "::ffff:169.254.169.254", False),
        ("minio", "fe80::1%eth0", False),
        ("minio", "fd00:ec2::254", False),
        ("minio", "100.100.100.200", False),
        ("minio", "64:ff9b::a9fe:a9fe", False),
        ("minio", "64:ff9b::a00:3", True),
        ("169.254.169.254", "169.254.169.254", True),
        ("a.example.org", "93.184.216.34", True),
        ("a.example.org", "10.0.0.3", False),
        ("a.example.org", "127.0.0.1", False),
        ("a.example.org", "::1", False),
        ("a.example.org", "168.63.129.16", False),
        ("a.example.org", "64:ff9b::7f00:1", False),
        ("a.example.org", "2002:7f00:1::", False),
        ("a.example.org", "2606:4700::1111", True),
    ],
)
def test_address_rules(host, address, allowed):
    assert POLICY.allows_address(host, 80, address) is allowed


def test_label_studio_may_live_anywhere():
    assert POLICY.allows_address("10.1.1.1", 8080, "10.1.1.1")


def test_tokens_are_never_logged(fetcher, studio, elsewhere, caplog):
    caplog.set_level(logging.DEBUG)
    studio.answers["/data/upload/1/x.png"] = (302, {"Location": elsewhere.url("/a.png")}, b"")
    fetcher(allowed_hosts=("127.0.0.1",)).fetch(studio.url("/data/upload/1/x.png"))
    with pytest.raises(ImageError) as caught:
        fetcher().fetch(studio.url("/data/upload/1/none.png"))
    assert LEGACY_TOKEN not in caplog.text + str(caught.value)
