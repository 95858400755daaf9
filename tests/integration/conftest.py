"""Fixtures of the tests that talk to Kaggle: a server that speaks its protocol, and a user's machine with a token for it."""

import pytest
from support.kaggle_home import SLUG, Machine, make_tiny_competition, shorten_delays
from support.kaggle_server import KaggleServer


@pytest.fixture
def server():
    tiny = make_tiny_competition()
    with KaggleServer(SLUG, tiny.archive, tiny.solution) as server:
        yield server
        assert "CONNECT" not in server.calls   # nobody asked this server for a way to another one


@pytest.fixture
def machine(tmp_path, server, monkeypatch):
    shorten_delays(monkeypatch)
    return Machine(tmp_path, server)
