"""The end of a log is what a person sees of a component that failed."""

from pathlib import Path

from deploy.local.logs import last_lines, readable, turn_over


def test_json_line_is_shown_plain() -> None:
    assert readable('{"level": "ERROR", "message": "no space left"}') == "error: no space left"
    assert readable('{"level": "error", "message": "failed", "traceback": "line 1"}') == "error: failed\nline 1"


def test_any_other_line_is_shown_as_it_is() -> None:
    for line in ("plain", "{broken", "[1]", '{"other": 1}', "17"):
        assert readable(line) == line


def test_the_first_log_that_says_anything_is_shown(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "full").write_text("\n".join(str(n) for n in range(100)))
    assert last_lines(tmp_path / "missing", tmp_path / "empty", tmp_path / "full", lines=2) == "98\n99"
    assert last_lines(tmp_path / "missing") == ""


def test_a_log_is_set_aside_only_when_it_has_grown(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("1234")
    turn_over(log, 4)
    assert log.exists()
    turn_over(log, 3)
    assert not log.exists()
    assert (tmp_path / "x.log.1").read_text() == "1234"
