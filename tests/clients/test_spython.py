"""spython: its client, method by method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from client import Client
from support.product import text

PROGRAM = """\
import json
from spython.main import Client

Client.quiet = True
found = {"version": Client.version()}
image = Client.pull("docker://debian:stable-slim", pull_folder=".", name="x.sif")
found["image"] = image
found["exec"] = Client.execute(image, ["cat", "/etc/os-release"])
found["bind"] = Client.execute(image, ["cat", "/data/file"], bind="data:/data")
found["status"] = Client.execute(image, ["sh", "-c", "exit 3"], return_result=True)
found["run"] = Client.run(image, ["sh", "-c", "echo ran $OF_IMAGE"], return_result=True)
found["inspect"] = Client.inspect(image, json=True, quiet=True)
box = Client.build(image="box", recipe="x.sif", sandbox=True, sudo=False, stream=False)
found["writable"] = Client.execute("box", ["touch", "/new"], writable=True, return_result=True)
instance = Client.instance(image, name="one")
found["instances"] = [entry.name for entry in Client.instances(quiet=True)]
found["inside"] = Client.execute(instance, ["echo", "inside"])
instance.stop()
found["left"] = Client.instances(quiet=True)
print("FOUND" + json.dumps(found))
"""


def test_its_client(client: Client, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "data").mkdir()
    (work / "data/file").write_text("data\n")
    (work / "program.py").write_text(PROGRAM)
    done = client("python", "program.py")
    if b"No module named 'spython'" in done.stderr:
        pytest.skip("spython: not installed (make test-clients)")
    assert done.returncode == 0, text(done)
    found = json.loads(done.stdout.decode().partition("FOUND")[2])
    assert found["version"].startswith("apptainer version 1.4")
    assert found["exec"] == "ID=client\n"
    assert found["bind"] == "data\n"
    assert found["status"]["return_code"] == 3
    assert "ran yes" in str(found["run"])
    assert "runscript" in found["inspect"]["attributes"]
    assert found["writable"]["return_code"] == 0
    assert (work / "box/new").exists()
    assert found["instances"] == ["one"]
    assert found["inside"] == "inside\n"
    assert not found["left"]
