"""What the tests share: the default model, opened once, where it has been fetched."""

import pytest


@pytest.fixture(scope="session")
def smollm2():
    """The default model, opened; the test is skipped with a reason where it has not been fetched."""
    from compute.weights import open_model

    try:
        return open_model("smollm2")
    except FileNotFoundError as missing:
        pytest.skip(f"the default model is not here: {missing}")
