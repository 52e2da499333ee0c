"""What the log of a tritonserver says about a failure."""

from sonic_tracking.engines.triton_process import log_tail, telling_line

LOG = """\
I1124 19:22:13.828066 32620 model_lifecycle.cc:472] "loading: double:1"
E1124 19:22:13.9 32620 model_lifecycle.cc:642] "failed to load 'double' version 1: X"
I1124 19:22:14.657794 32620 server.cc:345] "Timeout 30: Found 1 live models"
error: creating server: Internal - failed to load all models
"""


def test_first_error_is_told_without_its_prefix():
    assert telling_line(LOG) == "failed to load 'double' version 1: X"


def test_known_complaint_about_a_missing_gpu_is_not_the_reason():
    harmless = (
        "E1124 19:22:13.824005 32620 server.cc:241] "
        '"CudaDriverHelper has not been initialized."\n'
    )

    assert telling_line(harmless + LOG) == "failed to load 'double' version 1: X"


def test_model_that_did_not_load_is_named_and_the_traceback_left_out():
    log = (
        "E1201 17:17:18.795621 20335 backend_model.cc:692] "
        r'"ERROR: Failed to create instance: RuntimeError: no file\n\nAt:\n  model.py"'
        "\nE1201 17:17:18.795720 20335 model_lifecycle.cc:642] "
        r'''"failed to load 'double' version 1: Internal: no file\n\nAt:"'''
    )

    assert telling_line(log) == ("failed to load 'double' version 1: Internal: no file")


def test_last_line_is_told_if_there_is_no_error():
    assert telling_line("one\ncannot run tritonserver\n\n") == "cannot run tritonserver"


def test_empty_log_is_said_to_be_empty():
    assert telling_line("") == "the log is empty"


def test_tail_is_the_last_lines_of_a_long_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {i}\n" for i in range(100_000)))

    assert log_tail(log, n_lines=2) == "line 99998\nline 99999"


def test_tables_of_settings_are_left_out_of_the_tail(tmp_path):
    log = tmp_path / "log"
    log.write_text("error\n+-----+\n| server_id | triton |\n+-----+\n")

    assert log_tail(log) == "error"


def test_tail_of_no_file_is_empty(tmp_path):
    assert log_tail(tmp_path / "log") == ""
