"""What the command lines say of the engine and of themselves."""


def test_help_names_all_spellings(engine):
    """As docker's help does."""
    spellings = "\nAliases:\n  berth container ls, berth container list, berth container ps, berth ps\n"
    for words in (["ps"], ["container", "ls"], ["container", "list"], ["container", "ps"]):
        assert spellings in engine.berth(*words, "--help").stdout
        assert engine.berth(*words).stdout.startswith("CONTAINER ID")
    assert "\nAliases:\n  berth image rm, berth image remove, berth rmi\n" in engine.berth("rmi", "--help").stdout
    assert "Aliases" not in engine.berth("volume", "create", "--help").stdout


def test_second_names_do_what_the_first_do(engine):
    engine.berth("create", "--name", "twice", "busybox")
    assert engine.berth("container", "remove", "twice").stdout == "twice\n"
    assert engine.berth("image", "list").stdout == engine.berth("images").stdout
    assert engine.berth("volume", "list").stdout == engine.berth("volume", "ls").stdout
    assert engine.berth("container", "nonsense", check=False).returncode == 1
