"""The checks of tests/support/published.py hold for dockerd."""
import pytest

from published import check_published, check_published_without_proxy
from test_docker import Docker


@pytest.mark.parametrize("flags, check", [((), check_published), (("--userland-proxy=false",), check_published_without_proxy)])
def test_published_ports(peers, flags, check):
    engine = Docker(peers, *flags)
    try:
        check(lambda *words, **options: peers.run("docker", *words, **options))
    finally:
        engine.close()
