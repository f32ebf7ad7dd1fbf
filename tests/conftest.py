"""For all suites: what a failed one shows."""
import pathlib

import pytest

SUPPORT = pathlib.Path(__file__).resolve().parent / "support"
# A failed assertion there shows what it compared, as one of a test does.
pytest.register_assert_rewrite(*(file.stem for file in SUPPORT.glob("*.py")))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the engines of a failed test said at last."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, value in getattr(item, "funcargs", {}).items():
        log = getattr(value, "log", None)
        if callable(log):
            report.sections.append((f"end of the log of {name}", log()[-2000:]))
