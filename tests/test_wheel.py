"""What a user installs is what was built: the wheel, in a folder of its own, beside the same libraries."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources so that nothing is left in the project's folder."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "dnsonde", source / "dnsonde", ignore=shutil.ignore_patterns("__pycache__"))
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", out, source, cwd=out)
    if built.returncode and "No matching distribution found for setuptools" in built.stderr:
        pytest.skip("building a wheel needs setuptools from the package index, which is out of reach")
    assert built.returncode == 0, built.stderr
    (found,) = out.glob("dnsonde-*.whl")
    return found


def test_the_wheel_holds_every_source_and_all_data(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "dnsonde").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert wanted - held == set()
    assert {name for name in held - wanted if ".dist-info/" not in name} == set()
    assert "dnsonde/py.typed" in held
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_what_the_wheel_installs_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = ("-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target", site, wheel)
    installed = run(sys.executable, *pip, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    place = {"PYTHONPATH": str(site)}
    where = run(sys.executable, "-c", "import dnsonde.errors as e; print(e.__file__)", cwd=tmp_path, **place)
    assert Path(where.stdout.strip()).is_relative_to(site), "the installed one, not the checkout"
    command = site / "bin/dnsonde"
    assert run(command, "--version", cwd=tmp_path, **place).stdout.startswith("dnsonde ")
    template = run(command, "plan", "new", "--prefix", "127.9.0.0/30", "--known", "www.example.net",
                   "--answer", "192.0.2.80", cwd=tmp_path, **place)  # fmt: skip
    assert template.returncode == 0, template.stderr
    (tmp_path / "plan.toml").write_text(template.stdout)
    checked = run(command, "plan", "check", "plan.toml", cwd=tmp_path, **place)
    assert checked.returncode == 0, checked.stderr
    assert "4 (4 IPv4, 0 IPv6)" in checked.stdout
    assert "tiny" in run(command, "lab", "scenarios", cwd=tmp_path, **place).stdout
