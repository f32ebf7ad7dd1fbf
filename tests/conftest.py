"""For all suites: what a failed one shows."""
import pathlib

import pytest

SUPPORT = pathlib.Path(__file__).resolve().parent / "support"
# A failed assertion there shows what it compared, as one of a test does.
pytest.register_assert_rewrite(*(file.stem for file in SUPPORT.glob("*.py")))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the engines and registries of a failed test said at last."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    from engine import Engine, Registry  # the runtime's suite works without
    for name, value in getattr(item, "funcargs", {}).items():
        if isinstance(value, (Engine, Registry)):
            try:
                report.sections.append((f"end of the log of {name}", value.log()[-2000:]))
            except FileNotFoundError:
                pass  # it was never started
