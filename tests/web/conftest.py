from __future__ import annotations

import pytest
from made_song import make_song

from ottava.results import Result


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Result of a made-up song; its source is a file that exists."""
    return make_song(tmp_path_factory.mktemp("song") / "Evening walk.wav")
