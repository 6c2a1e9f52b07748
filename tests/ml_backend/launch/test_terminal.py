"""What is printed, on a terminal and in a file."""

import io

from clickpose_labelstudio.launch.terminal import CLEAR_LINE, Terminal


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_one_line_is_kept_up_to_date_below_what_is_said():
    stream = Tty()
    terminal = Terminal(stream)
    terminal.keep("1 of 3")
    terminal.say("The backend is back.")
    terminal.keep("2 of 3")
    terminal.keep("")
    terminal.say("3 photos are pre-annotated.")
    assert stream.getvalue() == (
        f"{CLEAR_LINE}1 of 3{CLEAR_LINE}The backend is back.\n1 of 3{CLEAR_LINE}2 of 3{CLEAR_LINE}"
        "3 photos are pre-annotated.\n"
    )


def test_a_long_line_is_cut_since_two_could_not_be_cleared(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = Tty()
    Terminal(stream).keep("x" * 50)
    assert stream.getvalue() == CLEAR_LINE + "x" * 19


def test_elsewhere_lines_are_plain_and_come_now_and_then():
    stream, now = io.StringIO(), [0.0]
    terminal = Terminal(stream, clock=lambda: now[0])
    for second in range(70):
        now[0] = second
        terminal.keep(f"{second} of 70")
        if second == 10:
            terminal.say("The backend is back.")
    terminal.keep("")
    assert stream.getvalue() == "0 of 70\nThe backend is back.\n30 of 70\n60 of 70\n"
