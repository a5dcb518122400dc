"""Finding and verifying data files: folder, mirror, source, in this order, and nothing
unverified.
"""

import hashlib
import re
import socket
import threading
import urllib.error

import pytest

from hw2 import data
from hw2.paths import ROOT

CONTENT = b"good content\n"


def fail(path):
    raise urllib.error.URLError("no network")


def make(fetch=fail):
    return data.DataFile(
        "set.bin",
        hashlib.sha256(CONTENT).hexdigest(),
        len(CONTENT),
        "the official source",
        fetch,
    )


def test_the_data_folder_comes_before_the_mirror_and_the_mirror_before_the_source(
    places,
):
    fetched = make(lambda path: path.write_bytes(CONTENT))
    for place in ("mirror", "data"):
        (places / place / "set.bin").write_bytes(CONTENT)
        assert data.locate(fetched) == places / place / "set.bin"


def test_a_folder_that_cannot_be_written_to_is_named(places, monkeypatch):
    (places / "file").touch()
    monkeypatch.setenv("HW2_DATA", str(places / "file"))
    with pytest.raises(data.DataError, match="nothing can be written there"):
        data.locate(make(lambda path: path.write_bytes(CONTENT)))


def test_an_empty_name_of_the_folder_is_none(monkeypatch):
    monkeypatch.setenv("HW2_DATA", "")
    assert data.folder() == ROOT / "data"


def test_what_the_source_gives_is_kept_in_the_data_folder(places):
    assert (
        data.locate(make(lambda path: path.write_bytes(CONTENT)))
        == places / "data" / "set.bin"
    )
    assert data.locate(make(fail)).read_bytes() == CONTENT
    assert [file.name for file in (places / "data").iterdir()] == ["set.bin"]


def test_a_mirror_may_be_a_url(places, monkeypatch):
    (places / "mirror" / "set.bin").write_bytes(CONTENT)
    monkeypatch.setenv("HW2_DATA_MIRROR", (places / "mirror").as_uri())
    assert data.locate(make()) == places / "data" / "set.bin"


@pytest.mark.parametrize("place", ["data", "mirror"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "truncated or another file"),
        (b"bad  content\n", "damaged or another file"),
        (b"", "0 bytes"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_left_alone(
    places, place, content, message
):
    file = places / place / "set.bin"
    file.write_bytes(content)
    with pytest.raises(data.DataError, match=message) as error:
        data.locate(make())
    assert str(file) in str(error.value)
    assert file.read_bytes() == content


def test_a_file_that_cannot_be_read_is_named(places, monkeypatch):
    file = places / "data" / "set.bin"
    file.write_bytes(CONTENT)

    def refuse(*_):
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr(data, "verify", refuse)
    with pytest.raises(data.DataError, match=r"set\.bin cannot be read .*not allowed"):
        data.locate(make())


@pytest.mark.parametrize(
    "mirror", ["http://[bad", "http://host:port", "://x", "nothing://x"]
)
def test_a_mirror_that_is_none_is_named(places, monkeypatch, mirror):
    monkeypatch.setenv("HW2_DATA_MIRROR", mirror)
    message = f"HW2_DATA_MIRROR={re.escape(mirror)} is no URL that can be used"
    with pytest.raises(data.DataError, match=message):
        data.locate(make())


def test_a_bad_download_is_refused_and_leaves_nothing(places):
    with pytest.raises(
        data.DataError, match="the official source has 3 bytes, expected 13"
    ):
        data.locate(make(lambda path: path.write_bytes(b"bad")))
    assert list((places / "data").iterdir()) == []


def test_a_download_that_is_cut_is_an_error_with_the_remedy(places, monkeypatch):
    """A chunked answer without its end, which has no length that would tell."""

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ngood "
            )

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HW2_DATA_MIRROR", url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(data.DataError, match="was cut, try again") as error:
            data.locate(make())
        thread.join()
    assert f"{url}/set.bin" in str(error.value)
    assert list((places / "data").iterdir()) == []


def test_a_silent_server_is_given_up(places, monkeypatch):
    monkeypatch.setattr(data, "SILENCE", 0.2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HW2_DATA_MIRROR", url)
        with pytest.raises(data.NotAtHandError, match="timed out"):
            data.locate(make())
    assert socket.getdefaulttimeout() is None


def test_why_the_mirror_failed_is_told_where_there_is_no_other_source(
    places, monkeypatch
):
    def nowhere(path):
        raise data.NotAtHandError("it is nowhere published")

    monkeypatch.setenv("HW2_DATA_MIRROR", (places / "mirror").as_uri())
    with pytest.raises(data.NotAtHandError, match=r"(?s)nowhere published.*set\.bin: "):
        data.locate(make(nowhere))


def test_a_mirror_may_have_any_letters(places, monkeypatch):
    folder = places / "ümlaut"
    folder.mkdir()
    (folder / "set.bin").write_bytes(CONTENT)
    monkeypatch.setenv("HW2_DATA_MIRROR", f"file://{folder}")
    assert data.locate(make()) == places / "data" / "set.bin"


def test_without_any_source_the_error_says_what_to_put_where(places):
    with pytest.raises(data.DataError) as error:
        data.locate(make())
    for part in (
        "set.bin not found",
        str(places / "data"),
        "HW2_DATA_MIRROR",
        "no network",
        make().sha256,
    ):
        assert part in str(error.value)
    assert list((places / "data").iterdir()) == []
