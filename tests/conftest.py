"""For all suites: a failed assertion of the files under tests/support shows what it compared, as one of a test does."""
import pathlib

import pytest

SUPPORT = pathlib.Path(__file__).resolve().parent / "support"
pytest.register_assert_rewrite(*(file.stem for file in SUPPORT.glob("*.py")))
