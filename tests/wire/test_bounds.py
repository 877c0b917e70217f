"""No kernel of the DNS codec reads or writes past its arrays: damaged input with numba's bounds checking on."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

def load(path):
    spec = spec_from_file_location("case", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

decode, name, encode, columns = map(load, sys.argv[1:])
for message in [*decode.damaged(2, 60), *decode.SAMPLES.values()]:
    for cut in {len(message), len(message) // 2}:
        decode.compare(message[:cut])
columns.test_columns_say_what_rows_say()
columns.test_a_name_is_one_name_in_any_case()
columns.test_nothing_is_read_or_written_outside()
columns.test_packets_are_sorted_and_told_as_a_loop_would(1)
decode.test_edns_options_are_read()
for parts in name.near_names(2, 1500):
    name.compare(parts)
name.test_siphash_has_the_vectors_of_its_paper()
name.test_a_changed_name_does_not_verify()
for seed in range(300):
    encode.compare(seed)
encode.test_dnspython_reads_a_probe()
"""


def test_no_octet_outside_is_touched(checked: dict[str, str]) -> None:
    cases = [
        str(Path(__file__).with_name(f"test_{case}.py")) for case in ("decode", "name", "encode", "columns")
    ]
    subprocess.run([sys.executable, "-c", CODE, *cases], check=True, env=checked, timeout=300)
