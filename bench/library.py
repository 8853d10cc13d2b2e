"""HTTP/2 for the clients and instances of `bench/faults`: the library (PyPI: h2), fetched into target/bench-python when missing."""

import sys

from peers import REPOSITORY, run_quietly

LIBRARY = "h2==4.3.0"
FOLDER = REPOSITORY / "target/bench-python"


def add_to_path():
    sys.path.append(str(FOLDER))


def has_library():
    add_to_path()
    if not (FOLDER / "h2").exists():
        run_quietly(sys.executable, "-m", "pip", "install", "-q", "--target", str(FOLDER), LIBRARY)
    try:
        import h2.connection  # pylint: disable=unused-import
        return True
    except ImportError:
        return False
